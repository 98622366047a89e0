"""Makes one shard of a generation as its plan says: the same bytes whoever makes it."""

from collections.abc import Iterator
from contextlib import closing

from models.data.manifest import SampleInfo, ShardFragment
from models.data.shards import ShardSample
from models.generation import Filled, Plan, fill_shard
from workers import keys
from workers.errors import Retryable
from workers.params import GenerationParams
from workers.tasks import parents
from workers.tasks.context import TaskContext
from workers.tasks.fragments import put_fragment, put_shard


def run(context: TaskContext) -> None:
    """Write the shard, and then what is to be known of it.

    Raises:
        UncertaintyRuleTooStrict: too few candidates are certain enough.
        Retryable: the plan is for another kind of device than this worker's.
        TaskFailed: `parent_not_ready`.
    """
    if _is_there(context):
        return
    plan = Plan.model_validate_json(context.store.get(context.key("plan.json")))
    device = context.runtime.device.type
    if plan.device != device:
        raise Retryable(
            f"the shards are planned for {plan.device}, this worker computes on {device}"
        )
    infos: list[SampleInfo] = []
    with context.runtime.computing_with(plan.threads), closing(_filled(context, plan)) as filled:
        written = put_shard(context, _noted(filled, infos))
    candidates = infos[-1].candidate + 1
    place = keys.shard(context.index)
    put_fragment(context, ShardFragment.of(place, written, candidates, infos))


def _is_there(context: TaskContext) -> bool:
    """Whether an earlier attempt has made the shard; its fragment is written last."""
    return context.store.size(context.key(keys.fragment(context.index))) is not None


def _filled(context: TaskContext, plan: Plan) -> Filled:
    """The shard's samples, with what is to be known of them; to be closed, for it has threads."""
    asked = context.params(GenerationParams).label_generator_ids
    cards = {each: parents.document(context, "label-generators", each) for each in asked}
    made = [parents.label_generator(context, each, card) for each, card in cards.items()]
    generator = parents.generator(context, cards[asked[0]]["generator_id"])
    return fill_shard(generator, made, plan, context.index, context.report)


def _noted(filled: Filled, infos: list[SampleInfo]) -> Iterator[ShardSample]:
    """The samples alone; the rest goes to `infos`."""
    for sample, info in filled:
        infos.append(info)
        yield sample
