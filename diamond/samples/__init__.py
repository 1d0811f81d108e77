"""Pictures and sounds changed on purpose, to see what a network makes of the change.

>>> from diamond.samples import pictures, sounds
>>> net.predict([photo, pictures.blur(photo, 3), pictures.cover(photo, (60, 80, 120, 160))])
>>> net.predict([bark, sounds.band_stop(bark, 500, 2000), sounds.pitch(bark, -5)])
"""

from diamond.samples import pictures, sounds

__all__ = ["pictures", "sounds"]
