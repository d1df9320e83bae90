"""The top of the page: one number, how far to trust it, and what plain answers reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.report.markup import duration, facts, number, percent, plural, text
from striate.training.metrics import Classified, Measured, Rebuilt, Stepped

if TYPE_CHECKING:
    from striate.report.contents import Scores, Story

SPLITS = {"test": "test", "val": "validation", "train": "training"}


def result(story: Story) -> str:
    """Lay out the result, or say plainly that there is none."""
    scores, split = story.headline, story.split
    if scores is None or split is None:
        body = _no_result(story)
    else:
        name, value = scores.headline
        low, high = (_figure(scores, bound) for bound in scores.interval)
        body = (
            f'<div class="hero"><div><p class="figure">{_figure(scores, value)}</p>'
            f'<p class="what">{name} on {_scored(scores, split, story.noun)}</p>'
            f'<p class="interval">95\xa0% interval: {low} to {high}</p></div>{_bars(story, scores)}</div>'
            f'<div class="words">{_in_words(story, scores)}{_about_the_split(story, split)}</div>'
        )
    return f'<section class="result" id="result" aria-label="Result">{body}{_strip(story)}</section>'


def _figure(scores: Scores, value: float) -> str:
    return percent(value) if isinstance(scores, Classified) else number(value)


def _scored(scores: Scores, split: str, noun: str) -> str:
    if isinstance(scores, Stepped):
        return f"{plural(scores.n, f'{SPLITS[split]} sequence')} of {plural(scores.steps, 'step')} together"
    return plural(scores.n, f"{SPLITS[split]} {noun}")


def _no_result(story: Story) -> str:
    loss = ((story.history[-1] if story.history else {}).get("train") or {}).get("loss")
    seen = f" The training loss ended at {number(loss)}: no sign of how it does on others." if loss else ""
    return (
        f'<p class="what">No {story.noun} was held out, so this run has no honest figure of its own.</p>'
        f"<p>It was trained on everything, and the last epoch was kept.{seen} "
        f"<code>striate evaluate</code> measures it on {story.noun}s that it has not seen.</p>"
    )


def _compared(story: Story, scores: Scores) -> list[tuple[str, float]]:
    """Give the plain answers that were scored by the headline's measure."""
    classes = isinstance(scores, Classified)
    key = scores.headline[0].replace(" ", "_") if classes else next(iter(scores.summary()))
    return [(answer.name, answer.scores[key]) for answer in story.answers if key in answer.scores]


def _bars(story: Story, scores: Scores) -> str:
    name, value = scores.headline
    rows = [("This network", value), *_compared(story, scores)]
    whole = 1.0 if isinstance(scores, Classified) else max(v for _, v in rows) or 1.0
    items = "".join(
        f"<li{' class=own' if i == 0 else ''}>"
        f'<span class="name"><span>{text(who, 60)}</span><b>{_figure(scores, v)}</b></span>'
        f'<span class="track"><span class="fill" style="width:{100 * v / whole:.1f}%"></span></span></li>'
        for i, (who, v) in enumerate(rows)
    )
    return f'<ul class="bars" aria-label="{name.capitalize()}, compared">{items}</ul>'


def _in_words(story: Story, scores: Scores) -> str:
    said = _said(scores, story.noun)
    answers = _compared(story, scores)[::-1]
    verb = {Classified: "gets", Stepped: "reaches"}.get(type(scores), "is off by")
    listed = [f"{text(name, 60)} {verb} {_figure(scores, value)}" for name, value in answers]
    if listed:
        said += f" {'; '.join([listed[0], *(part[:1].lower() + part[1:] for part in listed[1:])])}."
    own = scores.headline[1]
    best = (max if isinstance(scores, Classified) else min)([own, *(value for _, value in answers)])
    if _figure(scores, best) != _figure(scores, own):  # a linear code and PCA come to the same
        said += '</p><p class="warn">A plain answer does better: this network is not worth its cost yet.'
    return f"<p>{said}</p>"


def _said(scores: Scores, noun: str) -> str:
    match scores:
        case Classified():
            return _of_a_hundred(scores, noun)
        case Rebuilt():
            error, each = number(scores.error), number(scores.rmse)
            return f"A new sample comes back with a squared error of {error}; off by {each} a value (RMS)."
        case Measured():
            return _off_by(scores, noun)
        case Stepped():
            return _foretells(scores)
    return ""


def _of_a_hundred(scores: Classified, noun: str) -> str:
    right = round(100 * scores.headline[1])
    if not scores.uneven:
        return f"Of a hundred new {noun}s like these it gets about {right} right."
    sizes = [s.n for s in scores.per_class if s.n]
    return (
        f"Of a hundred {noun}s of a class it gets about {right} right, on average over the classes; "
        f"of all {noun}s as they come, {percent(scores.accuracy)}. "
        f"Classes are uneven here ({min(sizes):,} to {max(sizes):,} {noun}s), so each counts the same."
    )


def _off_by(scores: Measured, noun: str) -> str:
    explained = "" if scores.r2 is None else f" It explains {percent(max(0.0, scores.r2))} of the variance."
    return f"For a new {noun} like these it is off by about {number(scores.mae)} on average.{explained}"


def _foretells(scores: Stepped) -> str:
    """Say what the figure means: a step's odds, a number of letters, or a share of the usual spread."""
    if scores.kind == "values":
        rmse = number(scores.loss**0.5)
        return f"The next step is foretold to {rmse} of a channel's deviation (root mean square)."
    odds = f"{scores.perplexity:,.0f}" if scores.perplexity >= 100 else number(scores.perplexity)
    if scores.kind == "symbols":
        return f"It is as unsure of the next letter as if {odds} were equally likely."
    return f"What came at a step had one chance in {odds}, all channels together (geometric mean; nats)."


def _about_the_split(story: Story, split: str) -> str:
    """Say what kind of pictures the figure comes from, where they are no test."""
    if split != "val":
        return ""
    chose = story.chosen_by_validation()
    if chose:
        return (
            f'<p class="warn">These validation {story.noun}s chose {chose}, so the figure flatters the '
            f"network a little. Only {story.noun}s that chose nothing make a test, and this run had none.</p>"
        )
    return f'<p class="warn">This run had no test split; its validation {story.noun}s chose nothing.</p>'


def _strip(story: Story) -> str:
    run, splits = story.run, story.check.get("splits") or {}
    parameters, seconds = run.get("parameters"), run.get("seconds")
    return facts(
        {
            "Model": run.get("model"),
            "Parameters": parameters,
            "Classes": len(run.get("classes") or ()) or None,
            f"Training {story.noun}s": splits.get("train"),
            "Epochs": story.history[-1].get("epoch") if story.history else None,
            "Time": duration(seconds) if seconds else None,
        }
    )
