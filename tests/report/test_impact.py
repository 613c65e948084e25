from report.analysis.impact import effects
from report.inputs.events import Plan, Step
from report.model import JobEffect


def test_an_adopted_secret_that_the_stack_gives_up_stays() -> None:
    step = Step(
        operation="keep",
        type="kubernetes:core/v1:Secret",
        name="target-apps-pull",
        urn="urn:pulumi:test::image-builds::kubernetes:core/v1:Secret::target-apps-pull",
        parent="",
        old={"metadata": {"name": "registry-pull", "namespace": "apps"}},
        new=None,
    )
    plan = Plan(steps=(step,), old_outputs={}, new_outputs={}, errors=())

    assert list(effects(plan, {}, {})) == [
        JobEffect(
            text="Secret apps/registry-pull stays as it is, and the stack no longer updates it.",
            loud=False,
        )
    ]
