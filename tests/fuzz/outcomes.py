"""How many cases: few in the suite, as many as FUZZ_CASES says with `make fuzz`; and what became of them."""

from __future__ import annotations

import os
from collections import Counter

CASES = int(os.environ.get("FUZZ_CASES", "150"))
tried: Counter[str] = Counter()
