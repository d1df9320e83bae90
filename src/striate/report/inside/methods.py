"""The methods by name: what a reader needs to know beside each map."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """title: for a heading.   says: what the colours mean.   paper: its source.   pattern: makes no map of a
    class, but a pattern.
    """

    title: str
    says: str
    paper: str
    pattern: bool = False


NO_ANSWER = "It is close to recovering the picture, and does not say why this class."

METHODS = {
    "grad-cam": Method(
        "Grad-CAM",
        "Places of the last maps that speak for the class, in score; coarse, then enlarged.",
        "Selvaraju et al. 2017",
    ),
    "occlusion": Method(
        "Occlusion",
        "How far the score falls when a window around the pixel is covered with the picture's mean.",
        "Zeiler and Fergus 2013, section 4.2",
    ),
    "integrated-gradients": Method(
        "Integrated gradients",
        "What each pixel adds to the score on the way from the mean colour; in sum, the change.",
        "Sundararajan et al. 2017",
    ),
    "saliency": Method(
        "Gradient",
        "How the score would change with each pixel, channels added; noisy by nature.",
        "Simonyan et al. 2013",
    ),
    "deconvnet": Method(
        "Deconvnet",
        f"What pattern of this picture drove the network. {NO_ANSWER}",
        "Zeiler and Fergus 2013; Nie et al. 2018",
        pattern=True,
    ),
    "guided": Method(
        "Guided backpropagation",
        f"What pattern of this picture drove the network. {NO_ANSWER} It is known to hardly move when the "
        "weights are randomised.",
        "Springenberg et al. 2014; Adebayo et al. 2018",
        pattern=True,
    ),
}
