"""Pictures and sounds changed on purpose, to see what a network makes of the change.

>>> from diamond.samples import pictures, sounds
>>> net.predict([photo, pictures.blur(photo, 3), pictures.cover(photo, (60, 80, 120, 160))])
>>> net.predict([bark, sounds.band_stop(bark, 500, 2000), sounds.pitch(bark, -5)])
>>> sonify(net.patches(bark).values[0], net.input.audio).sound              # back from what the network hears
"""

from diamond.samples import pictures, sounds
from diamond.samples.sonify import Sonified, sonify

__all__ = ["Sonified", "pictures", "sonify", "sounds"]
