"""Lines as supervisor 4.3.0 wrote them."""

from __future__ import annotations

from orchestrator.engines.supervisord_log import pasts_of, service_pids_of

RECORDED = """\
2026-11-22 08:10:40,000 INFO spawned: 'webui' with pid 99
2026-11-22 08:10:45,347 INFO supervisord started with pid 1567
2026-11-22 08:10:45,485 INFO spawned: 'vectors' with pid 1574
2026-11-22 08:10:45,504 INFO spawned: 'webui' with pid 1575
2026-11-22 08:10:46,001 INFO exited: webui (exit status 3; not expected)
2026-11-22 08:10:47,006 INFO spawned: 'webui' with pid 1580
2026-11-22 08:10:48,024 WARN exited: vectors (terminated by SIGKILL; not expected)
2026-11-22 08:10:49,030 INFO spawned: 'vectors' with pid 1589
2026-11-22 08:10:50,000 INFO gave up: webui entered FATAL state, too many start retries too quickly
""".splitlines()


def test_restarts_and_the_last_exit_code() -> None:
    pasts = pasts_of(RECORDED)
    assert (pasts["webui"].restarts, pasts["webui"].exit_code) == (1, 3)
    assert (pasts["vectors"].restarts, pasts["vectors"].exit_code) == (1, -9)


def test_a_stop_on_purpose_begins_a_new_count() -> None:
    stopped = [*RECORDED, "2026-11-22 08:11:00,024 WARN stopped: webui (terminated by SIGTERM)"]
    assert "webui" not in pasts_of(stopped)
    again = [*stopped, "2026-11-22 08:11:01,024 INFO spawned: 'webui' with pid 1600"]
    assert pasts_of(again)["webui"].restarts == 0


def test_every_leader_ever_spawned() -> None:
    assert service_pids_of(RECORDED) == {99, 1574, 1575, 1580, 1589}
