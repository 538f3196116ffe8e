"""Other detectors of eyes: their answers are put into the course's order and pixels."""

from types import SimpleNamespace

import numpy as np
import pytest

from hglib.datasets.synthetic.exact import exact_faces
from hglib.experiments import costs, detectors
from hglib.experiments.costs import Times
from hglib.experiments.timing import Unavailable


def test_ours_is_among_them():
    faces = exact_faces(5)
    off = detectors.errors(detectors.ours(), faces.images, faces.points)
    assert off.shape == (5,) and off.max() < 5


def test_one_eye_alone_is_nothing():
    assert np.isnan(detectors.boxes_to_eyes([(60, 30, 9, 9), (70, 30, 5, 5)], 96)).all()
    assert np.isnan(detectors.boxes_to_eyes((), 96)).all()


def test_the_error_is_the_mean_distance_of_both_eyes():
    points = np.array([[[60.0, 40.0], [30.0, 40.0]]] * 2)
    answers = iter([points[0] + [[3.0, 4.0], [0.0, 1.0]], detectors.NOTHING])
    off = detectors.errors(lambda face: next(answers), np.zeros((2, 96, 96)), points)
    assert off[0] == 3 and np.isnan(off[1])


def test_a_detector_that_is_not_there_says_so(monkeypatch):
    monkeypatch.setattr(detectors, "find_spec", lambda name: None)
    for name, make in detectors.DETECTORS.items():
        if name != "hglib":
            with pytest.raises(Unavailable, match="not installed"):
                make()
    monkeypatch.undo()
    monkeypatch.setattr(detectors, "installed", lambda name: SimpleNamespace(__version__="5.0"))
    with pytest.raises(Unavailable, match=r"OpenCV 5\.0 has no cascades"):
        detectors.haar()
    with pytest.raises(Unavailable, match="no `solutions`"):
        detectors.mediapipe()
    with pytest.raises(Unavailable, match="set HGLIB_DLIB to"):
        detectors.dlib()


def test_the_iris_of_mediapipe_is_counted_from_the_images_edge(monkeypatch):
    """It says shares of the side: the middle of an image of 96 pixels is 47.5."""
    marks = {468: SimpleNamespace(x=0.25, y=0.5), 473: SimpleNamespace(x=0.75, y=0.5)}
    answer = SimpleNamespace(multi_face_landmarks=[SimpleNamespace(landmark=marks)])
    mesh = SimpleNamespace(process=lambda image: answer)
    solutions = SimpleNamespace(face_mesh=SimpleNamespace(FaceMesh=lambda **options: mesh))
    monkeypatch.setattr(detectors, "installed", lambda name: SimpleNamespace(solutions=solutions))
    found = detectors.mediapipe()(np.zeros((96, 96), np.uint8))
    assert found.tolist() == [[71.5, 47.5], [23.5, 47.5]]


def test_a_row_with_its_error_only_where_the_detector_runs(monkeypatch):
    face = exact_faces(1, costs.FRESH_SEED).points[0]
    monkeypatch.setattr(costs, "STRANGERS", 1)
    monkeypatch.setattr(costs, "DETECTORS", {"x": lambda: lambda _: face, "gone": None})

    def watch(makers):
        return Times(["x"], np.ones((2, 1)), {"gone": "not installed"})

    time, error, gone = costs.others(None, watch)
    assert time.value == 1000 and error.value == 0 and "1 of 1" in error.note
    assert np.isnan(gone.value) and gone.note == "not installed"
