"""What an inspection found: one row a layer, the totals, the memory; its names are those of the JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.ops.size import Axis

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ReceptiveField:
    """The box of input pixels that one unit sees, a number per axis.

    Unit u sees the pixels from ``offset + u*stride`` to ``offset + u*stride + size - 1``; those below 0 or
    behind the input are padding. stride is None where units are not evenly spaced.
    Source: Araujo, Norris and Sim 2019, Computing receptive fields of convolutional networks (Distill).
    """

    size: Shape
    stride: tuple[float | None, ...]
    offset: Shape


@dataclass(frozen=True)
class Window:
    """A convolution or pooling: how it slides, and what its weights join."""

    axes: tuple[Axis, ...]
    in_channels: int
    out_channels: int
    groups: int = 1
    use_bias: bool = False
    learned: bool = True
    transposed: bool = False


@dataclass(frozen=True)
class LayerMemory:
    """Bytes of activations, at the batch size: kept for the backward pass; newly made in the forward pass."""

    training: int
    inference: int


@dataclass(frozen=True)
class Layer:
    """One call of a layer or function, in execution order. Shapes are without the batch."""

    name: (
        str  # path of the module, such as layer1.0.conv1; for a function, the path of its caller and its name
    )
    kind: str  # class of the module (Conv2d), or name of the function (relu, cat, add, flatten)
    module: str  # path of the module that makes the call: "" for the network itself
    functional: bool
    input: Shape
    output: Shape
    inputs: tuple[int, ...]  # the rows it reads, by their position; -1 is the network's input
    parameters: int = 0  # counted at the first use only
    trainable: int = 0
    shared_with: str = ""  # the earlier row that counted these parameters
    multiply_adds: int = 0  # for one input
    other_operations: int = 0  # element by element, for one input: bias, normalisation, activation, pooling
    uncounted: tuple[str, ...] = ()  # operators whose multiply-adds nobody has a rule for
    memory: LayerMemory = LayerMemory(0, 0)
    receptive_field: ReceptiveField | None = None
    border_loss: Shape | None = None  # input rows and columns that no window reads, behind the last one
    window: Window | None = None
    dense_parameters: int = 0  # of the dense layer that joins the same input and output
    misfit: str = ""  # how its windows do not fill the padded input, and what would: what strict refuses
    warning: str = ""  # the same, where rows or columns of the input itself are lost and not only padding


@dataclass(frozen=True)
class Totals:
    """Sums over the network; multiply-adds and operations are for one input."""

    parameters: int
    trainable: int
    multiply_adds: int
    other_operations: int
    buffers: int  # values that are stored but not trained, such as running means
    dense_parameters: int  # if every convolution were the dense layer that joins the same input and output


@dataclass(frozen=True)
class Memory:
    """Bytes at the batch size. training is the peak of one step, inference that of one forward pass.

    Both hold the parameters; the parts of training that stay through the step are named one by one.
    """

    inference: int
    training: int | None  # None: the network cannot be trained at this batch size
    parameters: int = 0
    buffers: int = 0
    gradients: int = 0
    optimizer: int = 0
    input: int = 0
    activations: int = 0  # kept from the forward pass for the backward pass
    temporary: int = 0  # what else lives at the moment of the peak
    resident: int = 0  # what the process is predicted to grow by in a step, with what the allocator adds


@dataclass(frozen=True)
class Measured:
    """What only running tells, on this machine."""

    seconds_per_step: float
    pictures_per_second: float
    seconds_per_epoch: float
    epoch: int  # pictures of an epoch: the run's; 1000 where no data are known
    peak_growth: int  # bytes that one training step added to the process; 0 where the system does not tell
    predicted_growth: int
    device: str
    of_run: bool = False  # whether epoch is that of a run's data


@dataclass(frozen=True, repr=False)
class Inspected:
    """A network's arithmetic. It prints as a table, and shows itself in a notebook."""

    model: str
    input: Shape
    batch: int
    layers: tuple[Layer, ...]
    totals: Totals
    memory: Memory
    optimizer: str = "momentum"
    unused: tuple[tuple[str, int], ...] = ()  # modules whose parameters the forward pass never used
    warnings: tuple[str, ...] = ()
    measured: Measured | None = None
    dtype: str = "float32"  # of the input

    def json(self) -> dict[str, Any]:
        """Give everything as dictionaries, tuples, numbers and strings, ready for ``json.dumps``."""
        return dataclasses.asdict(self)

    def explain(self, layer: str) -> str:
        """Write out the arithmetic of one layer, by its name or its number in the table."""
        from striate.summary.explain import explain

        return explain(self, layer)

    def __repr__(self) -> str:
        from striate.summary.table import text

        return text(self, 100)

    def _repr_html_(self) -> str:
        from striate.summary.table import html

        return html(self)
