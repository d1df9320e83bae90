"""The methods by name: what a reader needs to know beside each map."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """title: for a heading.   says: what the colours mean.   paper: its source.   pattern: makes no map of a
    class, but a pattern.   along: what the colours mean along a sequence.
    """

    title: str
    says: str
    paper: str
    pattern: bool = False
    along: str = ""


PATTERN = "Which steps drove the network, whatever the class; it does not say why this one."
NO_ANSWER = "It is close to recovering the picture, and does not say why this class."

METHODS = {
    "grad-cam": Method(
        "Grad-CAM",
        "Places of the last maps that speak for the class, in score; coarse, then enlarged.",
        "Selvaraju et al. 2017",
        along="Steps of the last maps that speak for the class, in score; coarse, then drawn out.",
    ),
    "occlusion": Method(
        "Occlusion",
        "How far the score falls when a window around the pixel is covered with the picture's mean.",
        "Zeiler and Fergus 2013, section 4.2",
        along="How far the score falls when a stretch around the step is hidden, letters by an unknown one.",
    ),
    "integrated-gradients": Method(
        "Integrated gradients",
        "What each pixel adds to the score on the way from the mean colour; in sum, the change.",
        "Sundararajan et al. 2017",
        along="What each step adds to the score on the way from no content; in sum, the change.",
    ),
    "saliency": Method(
        "Gradient",
        "How the score would change with each pixel, channels added; noisy by nature.",
        "Simonyan et al. 2013",
        along="How the score would change with each step, channels added; of letters, times the letter.",
    ),
    "deconvnet": Method(
        "Deconvnet",
        f"What pattern of this picture drove the network. {NO_ANSWER}",
        "Zeiler and Fergus 2013; Nie et al. 2018",
        pattern=True,
        along=PATTERN,
    ),
    "guided": Method(
        "Guided backpropagation",
        f"What pattern of this picture drove the network. {NO_ANSWER} It is known to hardly move when the "
        "weights are randomised.",
        "Springenberg et al. 2014; Adebayo et al. 2018",
        pattern=True,
        along=f"{PATTERN} It is known to hardly move when the weights are randomised.",
    ),
}
