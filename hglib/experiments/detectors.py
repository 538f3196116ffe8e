"""Other detectors of eyes, for comparison, where they are installed; hglib needs none of them.

Each is made once and then called with one face after the other. Points are (x, y) in picture
pixels, 0-based, the subject's left eye (the larger x) first; NaN where nothing was found.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from hglib.checkpoint import WEIGHTS, load_model
from hglib.experiments.timing import Unavailable
from hglib.inference import predict

Detector = Callable[[np.ndarray], np.ndarray]  # one face (96, 96) uint8 to points (2, 2)

NOTHING = np.full((2, 2), np.nan)
PREDICTOR = "HGLIB_DLIB"  # the path of dlib's shape_predictor_68_face_landmarks.dat


def installed(name: str) -> Any:
    """The module of this name; Unavailable where it is not there.

    >>> installed("no_such_detector")
    Traceback (most recent call last):
    hglib.experiments.timing.Unavailable: not installed
    """
    if find_spec(name) is None:
        raise Unavailable("not installed")
    return import_module(name)


def left_first(points: Sequence[Sequence[float]]) -> np.ndarray:
    """Two points in the course's order (2, 2): the subject's left eye has the larger x.

    >>> left_first([[30, 37], [66, 38]]).tolist()
    [[66.0, 38.0], [30.0, 37.0]]
    """
    points = np.asarray(points, dtype=float)
    return points[np.argsort(-points[:, 0])]


def ours() -> Detector:
    """The pretrained network, one image at a time."""
    model = load_model(WEIGHTS / "lean.safetensors")
    return lambda face: predict(model, face).points[0].numpy()


def haar() -> Detector:
    """OpenCV's eye cascade (Viola and Jones 2001): the largest box on each side of the face.

    A box says little more than "here is an eye"; its middle is the point. OpenCV 5 has no cascades
    any more.
    """
    cv2 = installed("cv2")
    if not hasattr(cv2, "CascadeClassifier"):
        raise Unavailable(f"OpenCV {cv2.__version__} has no cascades; version 4 has")
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_eye.xml")

    def find(face: np.ndarray) -> np.ndarray:
        boxes = cascade.detectMultiScale(face, scaleFactor=1.1, minNeighbors=3)
        return boxes_to_eyes(boxes, face.shape[1])

    return find


def boxes_to_eyes(boxes: Sequence[Sequence[int]], width: int) -> np.ndarray:
    """The middles (2, 2) of the largest box (x, y, width, height) in each half of the image.

    >>> boxes_to_eyes([(20, 30, 11, 11), (60, 31, 11, 11), (61, 60, 5, 5)], width=96).tolist()
    [[65.0, 36.0], [25.0, 35.0]]
    """
    largest: dict[bool, tuple[float, list[float]]] = {}
    for x, y, across, down in boxes:
        middle = [x + (across - 1) / 2, y + (down - 1) / 2]  # of pixels x to x + across - 1
        side = middle[0] > (width - 1) / 2
        if across > largest.get(side, (0, []))[0]:
            largest[side] = (across, middle)
    return left_first([middle for _, middle in largest.values()]) if len(largest) == 2 else NOTHING


def mediapipe() -> Detector:
    """MediaPipe's face mesh with irises (its "solutions" interface): points 468 and 473."""
    module = installed("mediapipe")
    if not hasattr(module, "solutions"):
        raise Unavailable(f"mediapipe {module.__version__} has no `solutions` any more")
    mesh = module.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True)

    def find(face: np.ndarray) -> np.ndarray:
        found = mesh.process(np.repeat(face[..., None], 3, axis=-1)).multi_face_landmarks
        if not found:
            return NOTHING
        irises = [found[0].landmark[number] for number in (468, 473)]
        # In shares of the image's sides, counted from its edge: the first pixel's middle is 0.5.
        return left_first([[p.x * face.shape[1] - 0.5, p.y * face.shape[0] - 0.5] for p in irises])

    return find


def mtcnn() -> Detector:
    """MTCNN (Zhang et al. 2016) of facenet-pytorch."""
    network = installed("facenet_pytorch").MTCNN(device="cpu")

    def find(face: np.ndarray) -> np.ndarray:
        from PIL import Image

        _, _, marks = network.detect(Image.fromarray(face).convert("RGB"), landmarks=True)
        return NOTHING if marks is None else left_first(marks[0][:2])  # the eyes come first

    return find


def dlib() -> Detector:
    """dlib's 68 points (Kazemi and Sullivan 2014), told that the face fills the image; an eye is
    the mean of its six."""
    module = installed("dlib")
    if not os.environ.get(PREDICTOR):
        raise Unavailable(f"set {PREDICTOR} to shape_predictor_68_face_landmarks.dat")
    shape = module.shape_predictor(os.environ[PREDICTOR])

    def find(face: np.ndarray) -> np.ndarray:
        height, width = face.shape
        marks = shape(face, module.rectangle(0, 0, width - 1, height - 1))
        points = np.array([[marks.part(i).x, marks.part(i).y] for i in range(36, 48)], float)
        return left_first([points[:6].mean(axis=0), points[6:].mean(axis=0)])

    return find


DETECTORS: dict[str, Callable[[], Detector]] = {
    "hglib": ours,
    "OpenCV, Haar cascade of eyes": haar,
    "MediaPipe, face mesh and irises": mediapipe,
    "MTCNN (facenet-pytorch)": mtcnn,
    "dlib, 68 points": dlib,
}


def errors(find: Detector, images: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The mean distance of both eyes to the truth, px (N,); NaN where one was not found."""
    found = np.stack([find(image) for image in images])  # (N, 2, 2)
    return np.linalg.norm(found - points, axis=-1).mean(axis=-1)
