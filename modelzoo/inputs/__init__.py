"""What a network is shown: pictures, read from wherever they are."""

from modelzoo.inputs.pictures import Picture, PictureError, image, images

__all__ = ["Picture", "PictureError", "image", "images"]
