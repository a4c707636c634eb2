"""The tools' own work. Nothing of the component is imported here, so that `python3 -m unittest` can test it."""

import re
import secrets

# A long loop delays all calls of the instance, so the work needs a limit.
DICE_MAX = 100
SIDES_MAX = 1000

NOTATION = re.compile(r"\s*(\d{0,3})\s*[dD]\s*(\d{1,4})\s*(?:([+-])\s*(\d{1,6}))?\s*", re.ASCII)


def roll(dice: str) -> tuple[list[int], int]:
    """The rolls and their total. The message of a ValueError tells the model what to do next."""
    parts = NOTATION.fullmatch(dice)
    if parts is None:
        raise ValueError('Write the dice as "d20" or "3d6+2".')
    count, sides = int(parts[1] or 1), int(parts[2])
    if not 1 <= count <= DICE_MAX or not 1 <= sides <= SIDES_MAX:
        raise ValueError(f"Roll 1 to {DICE_MAX} dice with 1 to {SIDES_MAX} sides.")
    # Random numbers from the host. A generator made at top level would be copied, and roll the same in every instance.
    rolls = [1 + secrets.randbelow(sides) for _ in range(count)]
    return rolls, sum(rolls) + int((parts[3] or "+") + (parts[4] or "0"))
