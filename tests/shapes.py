"""How annotations are checked with `--jaxtyping-packages=bambino,shapes.checked`: shapes by jaxtyping, the rest by
beartype; an int serves as a float.
"""

from __future__ import annotations

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
