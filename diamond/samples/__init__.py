"""Pictures and sounds changed on purpose, to see what a network makes of the change.

>>> from diamond.samples import pictures, sounds, sonify
>>> changed = [photo, pictures.blur(photo, 3), pictures.cover(photo, (60, 80, 120, 160))]
>>> net.predict(changed, top=2)
picture 0  tiger cat (282) 38.4 %  Egyptian cat (285) 37.0 %
picture 1  Egyptian cat (285) 61.0 %  tabby (281) 19.1 %
picture 2  tiger cat (282) 41.8 %  Egyptian cat (285) 33.7 %
>>> song = dc.load_sound("song.wav")
>>> heard = [song, sounds.band_stop(song, 500, 2000), sounds.pitch(song, -5)]
>>> ear.patches(heard).values.shape
(9, 64, 96, 1)
>>> sonify(ear.patches(song).values[0], ear.input.audio).sound              # back from what the network hears
Sound of 0.982 s: 15,712 samples at 16000 Hz
"""

from diamond.samples import pictures, sounds
from diamond.samples.sonify import Sonified, sonify

__all__ = ["Sonified", "pictures", "sonify", "sounds"]
