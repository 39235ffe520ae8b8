"""PersistentVolumeClaims as objects: what they are called, and with which pods they go."""

from __future__ import annotations

from kscale.controllers import kinds
from kscale.controllers.common.claims import of_lost_pods
from tests.controllers.statefulsets import make, pod, run_all
from tests.controllers.world import Hand


def test_a_claim_is_called_by_its_template_its_set_and_its_ordinal() -> None:
    hand = Hand("statefulset")
    run_all(hand, make(hand, "db", claims=2, start=4, replicas=2))
    found = [hand.world.name(one) for one in hand.objects("PersistentVolumeClaim")]
    assert found == ["data-db-4", "logs-db-4", "data-db-5", "logs-db-5"]
    assert hand.world.find("PersistentVolumeClaim", "default", "logs-db-5") >= 0


def test_one_with_an_owner_is_found_by_its_name_too() -> None:
    hand = Hand("statefulset")
    one = make(hand, claims=1, when_deleted=1, replicas=1)
    run_all(hand, one)
    (claim,) = hand.objects("PersistentVolumeClaim", one)
    assert hand.world.find("PersistentVolumeClaim", "default", "data-web-0") == claim


def test_a_claim_is_lost_when_its_pod_is_not_there_any_more() -> None:
    hand = Hand("statefulset")
    one = make(hand, claims=1, replicas=2, when_scaled=1)
    run_all(hand, one)
    going = pod(hand, one, 1)
    hand.write(one, replicas=1)
    hand.settle()
    (claim,) = [c for c in hand.objects("PersistentVolumeClaim") if hand.read(c, "pod") >= 0]
    assert (hand.world.name(claim), hand.read(claim, "pod")) == ("data-web-1", going)
    assert of_lost_pods(hand.world).tolist() == []
    hand.stopped()
    assert of_lost_pods(hand.world).tolist() == [claim]
    # The row is another pod's by now.
    hand.settle()
    hand.write(one, replicas=2)
    hand.settle()
    assert of_lost_pods(hand.world).tolist() == [claim]


def test_the_kind_is_read_and_collected() -> None:
    kind = kinds()["PersistentVolumeClaim"]
    assert kind.manifest is not None
    assert kind.manifest.groups == ("",)
    assert (kind.collected, kind.pods, kind.by_name) == (True, False, True)
