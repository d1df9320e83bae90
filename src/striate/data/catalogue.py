"""Public data sets by name, downloaded once into the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.data import arrays, cifar, idx, listing
from striate.download import Remote, fetch
from striate.errors import DownloadError, did_you_mean
from striate.events import Emit, ignore
from striate.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from striate.data.sources import Source


@dataclass(frozen=True, slots=True)
class DataSet:
    """Files of a public data set; ``classes`` says what IDX labels mean where they are no digits."""

    files: tuple[Remote, ...]
    classes: tuple[str, ...] = ()


# https://github.com/zalandoresearch/fashion-mnist, README, "Labels"
FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def _remotes(base: str, table: str) -> tuple[Remote, ...]:
    """Read lines of SHA-256, size in bytes and file name."""
    rows = [line.split() for line in table.strip().splitlines()]
    return tuple(Remote(base + name, int(size), sha256) for sha256, size, name in rows)


# Addresses, sizes and SHA-256 are those that TensorFlow Datasets publishes and checks:
# https://github.com/tensorflow/datasets/tree/master/tensorflow_datasets/url_checksums
# (mnist.txt, fashion_mnist.txt, cifar10.txt, cifar100.txt).
NAMED: Mapping[str, DataSet] = {
    "mnist": DataSet(
        _remotes(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            """
        440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609 9912422 train-images-idx3-ubyte.gz
        3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c 28881 train-labels-idx1-ubyte.gz
        8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6 1648877 t10k-images-idx3-ubyte.gz
        f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6 4542 t10k-labels-idx1-ubyte.gz
        """,
        )
    ),
    "fashion-mnist": DataSet(
        _remotes(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            """
        3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84 26421880 train-images-idx3-ubyte.gz
        a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845 29515 train-labels-idx1-ubyte.gz
        346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073 4422102 t10k-images-idx3-ubyte.gz
        67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5 5148 t10k-labels-idx1-ubyte.gz
        """,
        ),
        FASHION,
    ),
    "cifar10": DataSet(
        _remotes(
            "https://www.cs.toronto.edu/~kriz/",
            """
        c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd 170052171 cifar-10-binary.tar.gz
        """,
        )
    ),
    "cifar100": DataSet(
        _remotes(
            "https://www.cs.toronto.edu/~kriz/",
            """
        58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec 168513733 cifar-100-binary.tar.gz
        """,
        )
    ),
}
NAMES = ("digits", *NAMED)


def open_named(name: str, *, offline: bool = False, emit: Emit = ignore) -> Source:
    """Open a public data set, downloading what the cache lacks (``offline``: never).

    Raises DownloadError that says which files to put where.

    >>> open_named("digits").classes
    ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')
    """
    if name == "digits":
        return arrays.digits()
    if name not in NAMED:
        raise DownloadError(f"Unknown data set {name!r}.", did_you_mean(name, NAMES))
    folder = cache_folder() / "datasets" / name
    paths = fetch(NAMED[name].files, folder, offline=offline, emit=emit)
    if len(paths) == 1:
        return cifar.open_listing(listing.open_tar(paths[0]), name)
    return idx.open_listing(listing.folder(folder), name, NAMED[name].classes)
