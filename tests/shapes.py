"""How annotations are checked with `--jaxtyping-packages=bambino,shapes.checked`: shapes by jaxtyping, the rest by
beartype; an int serves as a float. Functions whose signature has no shape are left to mypy: it reads them once, not in
each call. jaxtyping imports this file when it comes to its first function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def only_with_shapes(jaxtyped: Callable[..., Any]) -> Callable[..., Any]:
    """jaxtyping's decorator, for classes and for functions that take or give a tensor with a shape; it hands back
    others as they are."""

    def decorator(*, typechecker: Any) -> Callable[[Any], Any]:
        def decorate(made: Any) -> Any:
            has_shapes = isinstance(made, type) or any(
                "[Tensor, " in str(kind) for kind in made.__annotations__.values()
            )
            return jaxtyped(typechecker=typechecker)(made) if has_shapes else made

        return decorate

    return decorator


jaxtyping.jaxtyped = only_with_shapes(jaxtyping.jaxtyped)
