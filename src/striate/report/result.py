"""The top of the page: one number, how far to trust it, and what plain answers reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.report.markup import duration, facts, number, percent, plural, text
from striate.training.metrics import Classified

if TYPE_CHECKING:
    from striate.report.contents import Scores, Story

SPLITS = {"test": "test", "val": "validation", "train": "training"}


def figure(scores: Scores, value: float) -> str:
    """Write a headline value: a share as a percentage, an error as a number."""
    return percent(value) if isinstance(scores, Classified) else number(value)


def headline_key(scores: Scores) -> str:
    """Name the headline as run.json and the plain answers do."""
    return scores.headline[0].replace(" ", "_") if isinstance(scores, Classified) else "mae"


def result(story: Story) -> str:
    """Lay out the result, or say plainly that there is none."""
    scores, split = story.headline, story.split
    if scores is None or split is None:
        body = _no_result(story)
    else:
        name, value = scores.headline
        low, high = (figure(scores, bound) for bound in scores.interval)
        body = (
            f'<div class="hero"><div><p class="figure">{figure(scores, value)}</p>'
            f'<p class="what">{name} on {plural(scores.n, f"{SPLITS.get(split, text(split))} picture")}</p>'
            f'<p class="interval">95\xa0% interval: {low} to {high}</p></div>{_bars(story, scores)}</div>'
            f'<div class="words">{_in_words(story, scores, split)}</div>'
        )
    return f'<section class="result" id="result" aria-label="Result">{body}{_strip(story)}</section>'


def _no_result(story: Story) -> str:
    last = story.history[-1] if story.history else {}
    loss = (last.get("train") or {}).get("loss")
    seen = (
        ""
        if loss is None
        else f" The training loss ended at {number(loss)}, which says nothing about new pictures."
    )
    return (
        '<p class="what">No picture was held out, so this run has no honest figure of its own.</p>'
        f"<p>Everything was trained on and the last epoch was kept.{seen} "
        "Measure the network with <code>striate evaluate</code> on pictures it has not seen.</p>"
    )


def _bars(story: Story, scores: Scores) -> str:
    key, (_, value) = headline_key(scores), scores.headline
    rows = [("This network", value, True)]
    rows += [(a.name, a.scores[key], False) for a in story.answers if key in a.scores]
    longest = 1.0 if isinstance(scores, Classified) else max(v for _, v, _ in rows) or 1.0
    items = "".join(
        f'<li{" class=own" if own else ""}><span class="name"><span>{text(name)}</span><b>{figure(scores, v)}</b></span>'
        f'<span class="track"><span class="fill" style="width:{100 * min(1.0, v / longest):.1f}%"></span></span></li>'
        for name, v, own in rows
    )
    return f'<ul class="bars" aria-label="{text(scores.headline[0].capitalize())}, compared">{items}</ul>'


def _in_words(story: Story, scores: Scores, split: str) -> str:
    sentences = [_of_hundred(scores) if isinstance(scores, Classified) else _off_by(scores)]
    key, (_, value) = headline_key(scores), scores.headline
    answers = [(a.name, a.scores[key]) for a in reversed(story.answers) if key in a.scores]
    if answers:
        gets = "gets" if isinstance(scores, Classified) else "is off by"
        listed = ", ".join(
            f"{text(name if i == 0 else _uncapitalised(name))} {gets if i == 0 else ''} {figure(scores, v)}".replace(
                "  ", " "
            )
            for i, (name, v) in enumerate(answers)
        )
        sentences.append(f"{listed}.")
    body = f"<p>{' '.join(sentences)}</p>"
    better = min if not isinstance(scores, Classified) else max
    if answers and better(value, better(v for _, v in answers)) != value:
        body += '<p class="warn">A plain answer does better than this network: it has learnt nothing worth its cost yet.</p>'
    return body + _about_the_split(story, split)


def _of_hundred(scores: Classified) -> str:
    right = round(100 * scores.headline[1])
    if scores.uneven:
        sizes = [s.n for s in scores.per_class if s.n]
        return (
            f"Of a hundred pictures of any one class it names about {right} rightly, on average over the classes. "
            f"They are uneven here ({min(sizes):,} to {max(sizes):,} pictures), so every class counts the same; "
            f"of all pictures together it names {percent(scores.accuracy)} rightly."
        )
    return f"Of a hundred new pictures like these it names about {right} rightly."


def _off_by(scores: Scores) -> str:
    assert not isinstance(scores, Classified)
    explained = (
        "" if scores.r2 is None else f" It explains {percent(max(0.0, scores.r2))} of the variance (R²)."
    )
    return f"For a new picture like these it is off by about {number(scores.mae)} on average.{explained}"


def _about_the_split(story: Story, split: str) -> str:
    if split != "val":
        return ""
    chose = story.chosen_by_validation()
    if chose:
        return (
            f'<p class="warn">These validation pictures chose {chose}, so the figure flatters the network a '
            "little. Only pictures that chose nothing make a test; this run had none.</p>"
        )
    return '<p class="warn">These are validation pictures; they chose nothing in this run, and there was no test split.</p>'


def _uncapitalised(name: str) -> str:
    return name[:1].lower() + name[1:]


def _strip(story: Story) -> str:
    run = story.run
    parameters, seconds = run.get("parameters"), run.get("seconds")
    counts = (story.check.get("splits") or {}) if isinstance(story.check.get("splits"), dict) else {}
    return facts(
        {
            "Model": run.get("model"),
            "Parameters": f"{parameters:,}" if isinstance(parameters, int) else parameters,
            "Classes": len(run.get("classes") or ()) or None,
            "Training pictures": f"{counts['train']:,}" if isinstance(counts.get("train"), int) else None,
            "Epochs": story.history[-1].get("epoch") if story.history else None,
            "Time": duration(seconds) if isinstance(seconds, (int, float)) else None,
        }
    )
