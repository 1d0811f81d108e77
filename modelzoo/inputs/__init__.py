"""What a network is shown: pictures and sounds, read from wherever they are."""

from modelzoo.inputs.pictures import Picture, PictureError, image, images
from modelzoo.inputs.sounds import Sound, SoundError, load_sound

__all__ = ["Picture", "PictureError", "Sound", "SoundError", "image", "images", "load_sound"]
