"""The mean image and the RGB covariance of a set of images, the same in any order of the images.

Paper 2 ("subtracting the mean activity over the training set from each pixel") and 4.1 ("we
perform PCA on the set of RGB pixel values throughout the ImageNet training set"). The sums are
integers, so they do not depend on the order or on the number of threads, and are rounded once. No
sum overflows, up to the largest data.size: the bounds stand where each is added up.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np

from alexnet_jax.errors import DataError

# float32 holds integers up to 2**24 exactly, so their sums there do not depend on the order.
MOST_IMAGES = 2**24 // 255  # whose values of 255 at most are summed at each pixel
_ROW = 256  # pixels whose products of two colours are summed: 256 * 255 * 255 < 2**24


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Statistics of the pixels of the training split, on the 0-255 scale.

    Attributes:
      mean_image: (size, size, 3) float32, the mean of each pixel.
      eigenvalues: (3,) float64, the variances along the principal axes, largest first.
      eigenvectors: (3, 3) float64. Column i belongs to eigenvalues[i]; rows are R, G, B. The
        largest component of a column is positive.
      images: how many images there were.
    """

    mean_image: np.ndarray
    eigenvalues: np.ndarray
    eigenvectors: np.ndarray
    images: int

    def covariance(self) -> np.ndarray:
        """Return the covariance of R, G and B, (3, 3) float64."""
        return (self.eigenvectors * self.eigenvalues) @ self.eigenvectors.T

    def same(self, other: "Statistics") -> bool:
        """Return whether both are of the same images: equal means, nearly equal covariances.

        LAPACK's eigenvectors differ in their last bits from one kind of CPU to another.
        """
        close = 1e-9 * max(float(self.eigenvalues[0]), float(other.eigenvalues[0]))
        return (
            self.images == other.images
            and np.array_equal(self.mean_image, other.mean_image)
            and np.allclose(self.covariance(), other.covariance(), rtol=0, atol=close)
        )

    def save(self, file: str | os.PathLike[str] | IO[bytes]) -> None:
        """Write the four fields as an .npz file; a path ends in .npz."""
        np.savez(file, **dataclasses.asdict(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str], size: int = 0) -> "Statistics":
        """Read what `save` wrote.

        Args:
          path: of the file.
          size: pixels a side that its mean image should have; 0: any.

        Raises:
          DataError: the file is missing or damaged, or of another size.
        """
        try:
            with open(path, "rb") as opened, np.load(opened) as file:
                names = ("mean_image", "eigenvalues", "eigenvectors")
                mean, values, vectors = arrays = [file[name] for name in names]
                images, side = int(file["images"]), size or len(mean)
            shapes = [(side, side, 3), (3,), (3, 3)]
            finite = all(np.isfinite(array).all() for array in arrays)
            if [x.shape for x in arrays] != shapes or not finite or min(*values, images - 1) < 0:
                raise ValueError("its numbers are no statistics of images")
        except Exception as error:  # zipfile, zlib and NumPy each raise their own kinds
            raise DataError(f"{os.fspath(path)} cannot be read ({error})") from error
        return cls(mean, values, vectors, images)


class Accumulator:
    """Integer sums over images: one for each chunk, merged into one for the split.

    Attributes:
      images: how many were added.
      plane_sum: (3, size, size) uint64, the sums of R, G and B at each pixel.
      product_sum: (3, 3) uint64, the sums of the products of R, G and B over all pixels. It has
        room for 4e9 images of 256x256, 1e9 of 512x512.
    """

    def __init__(self, size: int) -> None:
        """Begin with no image; `size` is the pixels a side."""
        self.images = 0
        self.plane_sum = np.zeros((3, size, size), np.uint64)
        self.product_sum = np.zeros((3, 3), np.uint64)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Accumulator":
        """Return the accumulator that `arrays` returned these of."""
        self = cls(arrays["plane_sum"].shape[-1])
        self.images = int(arrays["images"])
        self.plane_sum, self.product_sum = arrays["plane_sum"], arrays["product_sum"]
        return self

    def arrays(self) -> dict[str, Any]:
        """Return the content by name, as np.savez takes it."""
        return {
            "images": np.int64(self.images),
            "plane_sum": self.plane_sum,
            "product_sum": self.product_sum,
        }

    def add(self, images: Iterable[np.ndarray]) -> None:
        """Add at most MOST_IMAGES of (size, size, 3) uint8; many at once take half the time."""
        shape = self.plane_sum.shape
        pixels = shape[1] * shape[2]
        rows = -(-pixels // _ROW)  # the last one is filled up with zeros
        # All are reused: fresh memory is slow. float32 is faster than integers.
        planes = np.zeros((3, rows * _ROW), np.uint8)
        values = np.empty((3, rows, _ROW), np.float32)
        sums = np.zeros(values.shape, np.float32)
        products = np.zeros((3, 3, rows), np.float64)  # of all images less than 2**53
        for image in images:
            self.images += 1
            planes[:, :pixels] = image.reshape(-1, 3).T
            values[:] = planes.reshape(values.shape)
            np.add(sums, values, out=sums)
            for i in range(3):
                for j in range(i, 3):
                    products[i, j] += np.vecdot(values[i], values[j])
        self.plane_sum += sums.reshape(3, -1)[:, :pixels].reshape(shape).astype(np.uint64)
        totals = products.sum(axis=2).astype(np.uint64)
        self.product_sum += totals + np.triu(totals, 1).T

    def merge(self, other: "Accumulator") -> None:
        """Add the sums of another accumulator."""
        self.images += other.images
        self.plane_sum += other.plane_sum
        self.product_sum += other.product_sum

    def finalise(self) -> Statistics:
        """Return the statistics of all images that were added.

        Raises:
          ValueError: no image was added.
        """
        if self.images == 0:
            raise ValueError("no image was added, so there is no mean")
        pixels = self.images * self.plane_sum[0].size
        # n * sum(xy) - sum(x) * sum(y) in Python's integers: exact, then rounded once.
        sums = [int(s) for s in self.plane_sum.sum(axis=(1, 2))]
        covariance = np.empty((3, 3), np.float64)
        for i in range(3):
            for j in range(3):
                product = int(self.product_sum[i, j])
                covariance[i, j] = (pixels * product - sums[i] * sums[j]) / pixels**2
        values, vectors = np.linalg.eigh(covariance)  # ascending
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        largest = np.abs(vectors).argmax(axis=0)
        vectors = vectors * np.sign(vectors[largest, range(3)])
        mean = self.plane_sum.transpose(1, 2, 0).astype(np.float64) / self.images
        return Statistics(np.ascontiguousarray(mean, np.float32), values, vectors, self.images)
