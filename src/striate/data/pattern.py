"""What files' names say: ``{label}_{group}_{n}.wav`` takes a name apart, ``n<5`` chooses by a part of it."""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from striate.data.sources import UNLABELLED, Sample, Source, in_order
from striate.errors import DataError, RecipeError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

FIELD = re.compile(r"\{(\w+)\}")
RULE = re.compile(r"\s*([^\W\d]\w*)\s*(<=|>=|==|!=|<|>)\s*(\S.*?)\s*")
ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
EXAMPLE = "For example '{label}_{speaker}_{n}.wav', which reads 3_anna_12.wav."


@dataclass(frozen=True)
class Pattern:
    """A form of names. ``{word}`` is a field: anything but "/" and the characters that part it from the next
    field and the one before, so that there is one way to read a name.

    A pattern without "/" is held against a file's own name, one with "/" against as many last parts of its
    path as it has itself. Where it ends with a field, the ending of the file (.wav) is left away.
    """

    text: str
    names: tuple[str, ...]
    _form: re.Pattern[str]

    def fields(self, name: str) -> dict[str, str] | None:
        """Take a file's name apart; None where the pattern does not match.

        >>> pattern("{label}_{group}_{n}.wav").fields("recordings/7_jackson_3.wav")
        {'label': '7', 'group': 'jackson', 'n': '3'}
        """
        end = "/".join(name.split("/")[-1 - self.text.count("/") :])
        if self.text.endswith("}"):
            end = re.sub(r"\.[^./]*$", "", end)
        match = self._form.fullmatch(end)
        return match and match.groupdict()


def pattern(text: str) -> Pattern:
    """Read a pattern. Raises RecipeError for one without fields, or with a field twice."""
    names = FIELD.findall(text)
    twice = [name for name, count in Counter(names).items() if count > 1]
    rest = FIELD.sub("", text)
    if not names or twice or "{" in rest or "}" in rest or any(name[0].isdigit() for name in names):
        why = f"it names {{{twice[0]}}} twice" if twice else "it needs fields in braces, each a word"
        raise RecipeError(f"--label-pattern: {why}. Received: {text!r}.", EXAMPLE)
    form, end = "", 0
    for match in FIELD.finditer(text):
        following = text[match.end() : match.end() + 1]
        if following == "{":
            raise RecipeError(
                f"--label-pattern: nothing parts {match[0]} from the field behind it. Received: {text!r}.",
                EXAMPLE,
            )
        stop = "/" + following + (text[match.start() - 1] if end else "")
        form += re.escape(text[end : match.start()]) + f"(?P<{match[1]}>[^{re.escape(stop)}]+)"
        end = match.end()
    return Pattern(text, tuple(names), re.compile(form + re.escape(text[end:])))


def described(names: Sequence[str], text: str) -> list[dict[str, str]]:
    """Take every name apart. Raises DataError where the pattern does not match all of them."""
    form = pattern(text)
    found = [form.fields(name) for name in names]
    missed = [name for name, fields in zip(names, found, strict=True) if fields is None]
    if missed:
        how_many = "no file" if len(missed) == len(names) else f"not {len(missed):,} of {len(names):,} files"
        raise DataError(
            f"--label-pattern {text!r} matches {how_many}, the first is {missed[0]!r}.",
            "No field holds a character that parts it from the next. " + EXAMPLE,
        )
    return [fields for fields in found if fields is not None]


def labelled(source: Source, text: str, *, task: str, group: str | None, test: str | None) -> Source:
    """Give every sample the label, the group and the split that its name says.

    text: the pattern.   task: "regression" makes labels numbers; tasks without labels need none.
    group: the field that keeps samples on one side of the split, None is none.   test: a rule; samples for
    which it holds are of the test split, the others have none unless their folder is one.
    Raises RecipeError for a field that the pattern lacks, DataError where names do not fit.
    """
    known = pattern(text).names
    if "label" not in known and task not in UNLABELLED:
        raise RecipeError(f"--label-pattern: it needs {{label}}. Received: {text!r}.", EXAMPLE)
    for option, word in (("--group", group), ("--test", test and _rule(test)[0])):
        if word is not None and word not in known:
            raise RecipeError(
                f"{option}: the pattern has no field {word!r}. Received: {text!r}.", did_you_mean(word, known)
            )
    samples: list[Sample] = []
    for sample, fields in zip(source.samples, described([s.name for s in source.samples], text), strict=True):
        samples.append(
            replace(
                sample,
                target=0.0 if task in UNLABELLED else _target(fields["label"], task, sample.name),
                group=sample.group if group is None else fields[group],
                split="test" if test is not None and _holds(test, fields, sample.name) else sample.split,
            )
        )
    if test is not None and not any(sample.split == "test" for sample in samples):
        raise DataError(f"--test {test!r} holds for none of the {len(samples):,} names.", "Mend the rule.")
    classes = in_order(str(sample.target) for sample in samples) if task == "classification" else ()
    return replace(source, samples=tuple(samples), classes=classes)


def is_rule(text: str) -> bool:
    """Tell whether ``--test`` holds a rule rather than a share.

    >>> is_rule("n<5"), is_rule("0.2")
    (True, False)
    """
    return RULE.fullmatch(text) is not None


def _rule(text: str) -> tuple[str, str, str]:
    match = RULE.fullmatch(text)
    if match is None:
        raise RecipeError(
            f"--test: neither a share nor a rule. Received: {text!r}.",
            "Write 0.2, or compare a field of --label-pattern: 'n<5' or 'speaker==anna'.",
        )
    return match[1], match[2], match[3]


def _holds(rule: str, fields: dict[str, str], name: str) -> bool:
    field, compare, value = _rule(rule)
    have, limit = _number(fields[field]), _number(value)
    if compare in ORDERS:
        if math.isnan(limit):
            raise RecipeError(
                f"--test: {compare} compares numbers. Received: {rule!r}.", f"Write {field}=={value}."
            )
        if math.isnan(have):
            raise DataError(
                f"--test {rule!r}: {field} is no number but {fields[field]!r} in {name!r}.",
                f"Choose by value: {field}=={fields[field]}.",
            )
        return bool(ORDERS[compare](have, limit))
    same = fields[field] == value or have == limit
    return same == (compare == "==")


def _target(label: str, task: str, name: str) -> str | float:
    if task == "classification":
        return label
    number = _number(label)
    if not math.isfinite(number):
        raise DataError(
            f"{name}: a label must be a finite number. Received: {label!r}.",
            "For class names leave --task regression away.",
        )
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
