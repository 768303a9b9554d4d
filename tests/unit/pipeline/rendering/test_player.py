import base64
import hashlib
import json
from dataclasses import replace

import numpy as np
import reports

from inference.poses import COCO_17
from inference.skeletons import HALPE_26
from pipeline.rendering.encode import Piece
from pipeline.rendering.moments import Moment
from pipeline.rendering.player import player_data, policy, script
from pipeline.rendering.proxy import Proxy, packed_points

POSES = reports.poses([0.1, 1 / 3], unseen=[1])
PROXY = Proxy(
    mp4=b"", size=(64, 48), pieces=(Piece(start_s=0.1, end_s=1 / 3, shown_s=0.0),), times_s=POSES.timestamps_s,
    points=packed_points(POSES, [0, 1], (64, 48)),
)  # fmt: skip


def test_only_the_players_own_script_may_run():
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy(plays=True)
    assert "unsafe-inline" not in policy(plays=True).split("script-src")[1]
    assert "script-src" not in policy(plays=False)
    assert "</script" not in script()


def test_times_are_exact_and_points_come_back():
    data = json.loads(player_data(PROXY, COCO_17, [Moment(letter="a", name="release", time_s=0.2, half_width_s=0.3)]))
    assert np.frombuffer(base64.b64decode(data["times"]), "<f8").tolist() == [0.1, 1 / 3]
    points = np.frombuffer(base64.b64decode(data["points"]), "<i2").reshape(2, 17, 2)
    assert np.abs(points[0] / 16 - POSES.keypoints[0] / 2).max() <= 1 / 32
    assert (points[1] == -32768).all()
    assert data["events"] == [{"index": 0, "time": 0.2, "within": 0.3}]
    assert data["pieces"] == [{"start": 0.1, "end": 1 / 3, "shown": 0.0}]


def test_colours_are_those_of_the_overlay():
    data = json.loads(player_data(PROXY, COCO_17, []))
    assert data["joints"][5:7] == ["rgb(240 150 20)", "rgb(70 170 240)"], "the left shoulder is orange, the right blue"
    assert [5, 6, "rgb(250 250 240)"] in data["limbs"]


def test_the_page_gets_every_keypoint_and_limb_of_a_model_with_feet():
    poses = reports.with_feet(POSES)
    proxy = replace(PROXY, points=packed_points(poses, [0, 1], (64, 48)))
    data = json.loads(player_data(proxy, HALPE_26, []))
    points = np.frombuffer(base64.b64decode(data["points"]), "<i2").reshape(2, 26, 2)
    assert np.abs(points[0] / 16 - poses.keypoints[0] / 2).max() <= 1 / 32
    assert len(data["joints"]) == 26
    assert [15, 24, "rgb(240 150 20)"] in data["limbs"], "the left ankle and its heel"
