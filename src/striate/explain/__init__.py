"""Looking into a trained network: one function a method, tensors in, tensors out, for any module."""

from striate.explain.cam import grad_cam
from striate.explain.embedding import features, flattened, nearest
from striate.explain.gradients import integrated_gradients, saliency, smoothgrad
from striate.explain.health import Health, look
from striate.explain.layers import Layer, output_of
from striate.explain.maps import feature_maps, kernels
from striate.explain.maximisation import maximise
from striate.explain.occlude import occlusion
from striate.explain.patches import crop, patches_of_units, top_patches
from striate.explain.randomise import Sanity, sanity
from striate.explain.rectified import deconvnet, guided_backpropagation

# No function has its module's name: importing that module would put it in the function's place.
__all__ = [
    "Health",
    "Layer",
    "Sanity",
    "crop",
    "deconvnet",
    "feature_maps",
    "features",
    "flattened",
    "grad_cam",
    "guided_backpropagation",
    "integrated_gradients",
    "kernels",
    "look",
    "maximise",
    "nearest",
    "occlusion",
    "output_of",
    "patches_of_units",
    "saliency",
    "sanity",
    "smoothgrad",
    "top_patches",
]
