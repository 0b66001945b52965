"""What a viewer asks of the board, as text: qualifiers, quoted values, negation and free words. Pure.

    state:failed collection:contracts owner:ana error:"is encrypted" -kind:export older:1h invoice

Values of one qualifier are alternatives; different qualifiers must all hold, and so must every free word.
`file:` looks in the titles of jobs and in the names of documents that failed, `error:` in what was said of a job
and of those documents, a free word in all of it: names of documents that did not fail are on their job's page alone.
`older:` and `newer:` go by when a job was submitted, `took:` asks for an attempt of at least that long.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, replace
from itertools import islice

from tasks.ledger.states import State

NAMES = (
    "state",
    "collection",
    "owner",
    "kind",
    "file",
    "error",
    "worker",
    "stage",
    "priority",
    "id",
    "snapshot",
    "mark",
    "older",
    "newer",
    "took",
)
AGES = frozenset({"older", "newer", "took"})
MARKS = ("stalled", "lost", "not-responding", "slow")
KNOWN: dict[str, tuple[str, ...]] = {
    "state": tuple(state.value for state in State),
    "priority": ("high", "default", "low"),
    "mark": MARKS,
}
_LISTS = frozenset({*KNOWN, "kind", "stage"})  # take 'a,b' for two alternatives
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LONGEST_VALUE = 200
MOST_TERMS = 40
MOSTPIECES = 400  # of a text that are looked at
# Room for the canonical text of the most and longest terms, every character of them escaped.
LONGEST = MOST_TERMS * (2 * LONGEST_VALUE + 20)

PIECE = re.compile(r'(-?)(?:([A-Za-z_]+):)?(?:"((?:[^"\\]|\\.)*)"?|(\S+))', re.DOTALL)
_PLAIN = re.compile(r'[^\s":\\,-][^\s":\\,]*')
_AGE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhdw])")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_EXAMPLES = {"older": "1h", "newer": "2d", "took": "30m", "state": "failed", "mark": "stalled", "priority": "high"}


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: a qualifier ('' for a free word) and its value."""

    name: str
    value: str
    negated: bool = False

    @property
    def seconds(self) -> float:
        """The age that an age qualifier asks for."""
        found = _AGE.fullmatch(self.value)
        return float(found[1]) * UNITS[found[2]] if found else 0.0

    def __str__(self) -> str:
        name = f"{self.name}:" if self.name else ""
        return f"{'-' if self.negated else ''}{name}{quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked. Equal questions are equal; `problems` are sentences for the viewer about what was left out."""

    terms: tuple[Term, ...] = ()
    problems: tuple[str, ...] = field(default=(), compare=False)
    hidden: tuple[str, ...] = ()  # patterns of collections that are left out, whatever is asked; no part of the text

    def __str__(self) -> str:
        """The canonical text, as it stands in the address; parsing it gives this query again."""
        return " ".join(map(str, self.terms))

    @property
    def empty(self) -> bool:
        return not self.terms and not self.hidden

    def values(self, name: str, *, negated: bool = False) -> tuple[str, ...]:
        """The values that the query names for a qualifier; '' gives its free words."""
        return tuple(term.value for term in self.terms if term.name == name and term.negated == negated)

    def without(self, *names: str) -> Query:
        """The query without those qualifiers; '' stands for the free words."""
        return replace(self, terms=tuple(term for term in self.terms if term.name not in names), problems=())

    def having(self, name: str, *values: str, negated: bool = False) -> Query:
        """The query with these values in place of those that the qualifier had."""
        kept = [term for term in self.terms if not (term.name == name and term.negated == negated)]
        added = (Term(name, value, negated) for value in values if value)
        return replace(self, terms=_ordered([*kept, *added]), problems=())


def parse(typed: str) -> Query:
    """The query that a text asks for. Never raises: what cannot be used is left out and said in `problems`."""
    terms: list[Term] = []
    problems: list[str] = []
    for piece in islice(PIECE.finditer(typed[:LONGEST]), MOSTPIECES):
        minus, name, inside, plain = piece.groups()
        value = _ESCAPED.sub(r"\1", inside) if inside is not None else plain
        _take(minus == "-", name or "", value, inside is not None, terms, problems)
    ordered = _ordered(terms)
    if len(ordered) > MOST_TERMS:
        ordered = ordered[:MOST_TERMS]
        problems.append(f"Only the first {MOST_TERMS} conditions are used.")
    return Query(ordered, tuple(dict.fromkeys(problems)))


def word_of(mark: str) -> str:
    """A mark as a query writes it: 'not-responding'."""
    return mark.lower().replace("_", "-").replace(" ", "-")


def quoted(value: str) -> str:
    """A value as it is written in a query: in quotes where it has to be."""
    if _PLAIN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _take(negated: bool, name: str, value: str, in_quotes: bool, terms: list[Term], problems: list[str]) -> None:
    """Add the conditions of one piece of the text, or say what is wrong with it."""
    name = name.lower()
    if not name and not in_quotes and value.endswith(":") and value[:-1].lower() in NAMES:
        problems.append(_lacking(value[:-1].lower()))
    elif name and name not in NAMES:
        meant = difflib.get_close_matches(name, NAMES, 1)
        advice = f"did you mean '{meant[0]}'?" if meant else "put it in quotes to search for it as it stands."
        problems.append(f"'{name}' is no qualifier; {advice}")
        _add(Term("", f"{name}:{value}", negated), terms)
    elif name and not value.strip():
        problems.append(_lacking(name))
    elif name:
        parts = value.split(",") if name in _LISTS and not in_quotes else [value]
        for part in filter(None, parts):
            problem, used = _checked(name, part)
            if problem:
                problems.append(problem)
            else:
                _add(Term(name, used, negated), terms)
    elif value.strip():
        _add(Term("", value, negated), terms)


def _checked(name: str, value: str) -> tuple[str, str]:
    """A sentence about what is wrong with the value of a qualifier, or '' and the value to use."""
    if name in AGES:
        lowered = value.lower()
        if _AGE.fullmatch(lowered):
            return "", lowered
        return f"'{value}' is no age; write {name}:{_EXAMPLES[name]}, with s, m, h, d or w.", ""
    if name in KNOWN:
        lowered = word_of(value) if name == "mark" else value.lower()
        if lowered in KNOWN[name]:
            return "", lowered
        meant = difflib.get_close_matches(lowered, KNOWN[name], 1)
        advice = f"did you mean '{meant[0]}'?" if meant else f"use {_any_of(KNOWN[name])}."
        return f"'{value}' is no {name}; {advice}", ""
    return "", value


def _add(term: Term, terms: list[Term]) -> None:
    value = term.value.strip()[:LONGEST_VALUE].strip()
    if value:
        terms.append(Term(term.name, value, term.negated))


def _lacking(name: str) -> str:
    return f"'{name}:' needs a value, as in {name}:{_EXAMPLES.get(name, 'value')}."


def _any_of(values: tuple[str, ...]) -> str:
    return f"{', '.join(values[:-1])} or {values[-1]}"


def _ordered(terms: list[Term]) -> tuple[Term, ...]:
    """Qualifiers in their own order, then the free words as they were typed; each once."""
    named = sorted(
        {term for term in terms if term.name}, key=lambda term: (NAMES.index(term.name), term.negated, term.value)
    )
    return (*named, *dict.fromkeys(term for term in terms if not term.name))
