"""A config of REINVENT4 -> the tables of ours, and sentences on what is said otherwise or not at
all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sequence_tutor.distributed.reinvent.read import with_its_file
from sequence_tutor.rewards.reinvent.notes import ConversionError, Notes, number, plain, table
from sequence_tutor.rewards.reinvent.scoring import reward_of

Tables = dict[str, Any]

# The commands that do what other run types do.
_COMMANDS = {
    "sampling": "sequence-tutor sample PRIOR -n 1000",
    "transfer_learning": "sequence-tutor pretrain --from PRIOR DATA --out NEW",
    "create_model": "sequence-tutor pretrain DATA --out PRIOR",
}
# Their defaults where a config doesn't say it.
SIGMA, RATE, BATCH = 128, 1e-4, 100
DIVERSITY = {
    "identicalmurckoscaffold": "murcko_scaffold",
    "identicaltopologicalscaffold": "topological_scaffold",
    "scaffoldsimilarity": "similar_scaffold",
    "penalizesamesmiles": "same_molecule",
}
# What a run here does without a setting, or leaves out, by table and key; without a sentence it is
# translated elsewhere or means nothing here.
_ELSEWHERE: dict[str, dict[str, str]] = {
    "": {
        "run_type": "",
        "seed": "",
        "parameters": "",
        "learning_strategy": "",
        "diversity_filter": "",
        "inception": "",
        "stage": "",
        "scoring": "",
        "scoring_function": "",
        "device": "",
        "use_cuda": "use_cuda: set learner.gpus and actors.gpus",
        "tb_logdir": "tb_logdir: TensorBoard's files are in RUN/tensorboard",
        "json_out_config": "json_out_config: the config with all defaults is RUN/config.toml",
    },
    "parameters": {
        "prior_file": "",
        "agent_file": "",
        "batch_size": "",
        "randomize_smiles": "",
        "summary_csv_prefix": "summary_csv_prefix: scores are in RUN/scores and RUN/top.csv",
        "smiles_file": "",
        "unique_sequences": "unique_sequences: no sequence is scored twice in any run",
        "use_checkpoint": "use_checkpoint: --resume goes on with a run, its [diversity] included",
        "purge_memories": "purge_memories: it is about several stages",
        "tb_isim": "tb_isim: RUN/metrics.jsonl has no such similarity; evaluate shows diversity",
    },
    "learning_strategy": {"type": "", "sigma": "", "rate": ""},
    "inception": {
        "smiles_file": "",
        "memory_size": "inception.memory_size and sample_size: the replay is always there, holds "
        "all that was scored and draws by rank (replay.top, replay.fresh)",
        "sample_size": "inception.memory_size and sample_size: the replay is always there, holds "
        "all that was scored and draws by rank (replay.top, replay.fresh)",
        "deduplicate": "",
    },
    "stage": {
        "max_steps": "",
        "max_score": "",
        "min_steps": "",
        "termination": "",
        "scoring": "",
        "scoring_function": "",
        "diversity_filter": "",
        "chkpt_file": "stage.chkpt_file: the tuned policy is RUN/policy, and a prior of the next "
        "run",
    },
}


def converted(config: Mapping[str, Any], folder: Path, notes: Notes) -> Tables:
    """The tables of our config, with the keys that theirs sets. `folder` is that of the file.
    Raises ConversionError with one sentence."""
    kind = config.get("run_type")
    if kind is None and "component" in config:  # a file of scoring components
        return {"reward": reward_of(config, notes)}
    kind = plain(str(kind or ""))
    if kind == "stagedlearning":
        return _staged_learning(config, folder, notes)
    if kind in ("scoring", "enumeration"):
        return _scoring(config, folder, notes)
    command = next((c for name, c in _COMMANDS.items() if plain(name) == kind), None)
    if command is not None:
        raise ConversionError(f"run_type = {config['run_type']!r} needs no config: {command}")
    raise ConversionError(
        "it is no config of REINVENT4 that can be converted: run_type must be staged_learning, "
        "scoring or enumeration, or there are [[component]] tables"
    )


def _scoring(config: Mapping[str, Any], folder: Path, notes: Notes) -> Tables:
    _say_elsewhere("", config, notes)
    parameters = table(config.get("parameters", {}), "[parameters]")
    if parameters:
        notes.change(
            "[parameters]: the files are arguments, sequence-tutor score CONFIG FILE --out RESULT"
        )
    if plain(str(config["run_type"])) == "enumeration":
        notes.leave_out("run_type = 'enumeration': only its scoring is converted, nothing is made")
    return _seed(config) | {"reward": reward_of(_section(config, folder), notes)}


def _staged_learning(config: Mapping[str, Any], folder: Path, notes: Notes) -> Tables:
    _say_elsewhere("", config, notes)
    parameters = table(config.get("parameters", {}), "[parameters]")
    _say_elsewhere("parameters", parameters, notes)
    if "smiles_file" in parameters:
        notes.leave_out(
            f"parameters.smiles_file = {parameters['smiles_file']!r}: a run has one scaffold, one "
            "pair of fragments or its leads, as [generate] scaffold, fragments or near "
            "(docs/series.md), and a prior of whole sequences"
        )
    tables = _seed(config)
    prior = _prior(parameters, notes)
    if prior is not None:
        tables["prior"] = prior
    device = str(config.get("device", "cpu"))
    if not device.startswith("cpu"):
        notes.change(
            f"device = {device!r}: --set learner.gpus=0.5 --set actors.gpus=0.5 uses a GPU"
        )
    batch = _whole(parameters.get("batch_size", BATCH), "batch_size")
    strategy = table(config.get("learning_strategy", {}), "[learning_strategy]")
    _say_elsewhere("learning_strategy", strategy, notes)
    tables["learner"] = _learner(strategy, notes)
    tables["actors"] = {"batch": batch}
    if parameters.get("randomize_smiles", True):
        notes.change("randomize_smiles: replay.rewrite, by default half of what is learned from")
    else:
        tables["replay"] = {"rewrite": 0.0}
    inception = table(config.get("inception", {}), "[inception]")
    _say_elsewhere("inception", inception, notes)
    seeds = inception.get("smiles_file")
    if seeds:
        tables["proposers"] = {"data": {"file": str(seeds)}}
        notes.change(f"inception: {seeds} is proposed by [proposers.data] and scored as a part of "
                     "the budget")  # fmt: skip
    given = config.get("stage")
    if not isinstance(given, list) or not given:
        raise ConversionError("it has no [[stage]]")
    everywhere = config.get("diversity_filter")
    found = [stage_of(table(one, "[[stage]]"), everywhere, batch, folder, notes) for one in given]
    return tables | stages(found, notes)


def stages(found: list[Tables], notes: Notes) -> Tables:
    """The tables of all stages, in one config: those of the first, and what each changes of them as
    its [[stage]]."""
    first = found[0]
    if len(found) == 1:
        return first
    notes.change(
        f"the {len(found)} stages are [[stage]] tables: each goes on with the policy and the "
        "scores of the one before"
    )
    tables = [{"stop": first["stop"]}, *found[1:]]
    return {name: values for name, values in first.items() if name != "stop"} | {"stage": tables}


def stage_of(stage: Tables, everywhere: Any, batch: int, folder: Path, notes: Notes) -> Tables:
    """The tables [reward], [diversity] and [stop] of one stage. `everywhere` is the diversity
    filter of all stages, which overrides the stage's own."""
    _say_elsewhere("stage", stage, notes)
    tables: Tables = {"reward": reward_of(_section(stage, folder), notes)}
    diversity = everywhere or stage.get("diversity_filter")
    if diversity:
        found = _diversity(table(diversity, "[diversity_filter]"), notes)
        tables |= {"diversity": found} if found else {}
    if "max_steps" not in stage:
        raise ConversionError("a [[stage]] has no max_steps")
    steps = _whole(stage["max_steps"], "max_steps")
    tables["stop"] = {"scores": steps * batch}
    notes.change(
        "stop.scores is max_steps * batch_size; it counts distinct valid sequences, so none is "
        "spent on others"
    )
    if "max_score" in stage or "min_steps" in stage:
        notes.leave_out(
            "stage.max_score and min_steps, which end a stage by the mean score of a batch: "
            "stop.reward ends it by the mean of the best ten, which is higher; set it if you want "
            "that"
        )
    if plain(str(stage.get("termination", "simple"))) not in ("simple", "null"):
        notes.leave_out(
            f"stage.termination = {stage['termination']!r}: the stage ends with stop.scores"
        )
    return tables


def _section(holder: Mapping[str, Any], folder: Path) -> Tables:
    given = holder.get("scoring", holder.get("scoring_function"))
    if given is None:
        raise ConversionError("it has no scoring section")
    return with_its_file(table(given, "the scoring section"), folder)


def _seed(config: Mapping[str, Any]) -> Tables:
    if config.get("seed") is None:
        return {}
    return {"seed": int(number(config["seed"], "seed")) % 2**31}


def _prior(parameters: Mapping[str, Any], notes: Notes) -> str | None:
    prior, agent = parameters.get("prior_file"), parameters.get("agent_file")
    if prior is None:
        notes.leave_out("there is no prior_file: the default of a config is written for none")
        return None
    if agent is not None and agent != prior:
        notes.leave_out(
            f"agent_file = {agent!r}: a run here begins with its prior; to go on from that file, "
            "make it the prior, which the policy is then held close to"
        )
    return str(prior)


def _learner(strategy: Mapping[str, Any], notes: Notes) -> Tables:
    kind = plain(str(strategy.get("type", "dap")))
    if kind == "dap":
        notes.change(
            "learning_strategy.type = 'dap' is algorithm = 'path', which learns from the replay "
            "too and knows the level log Z that dap takes as 0"
        )
    else:
        notes.leave_out(f"learning_strategy.type = {kind!r} isn't here: algorithm = 'path'")
    sigma = number(strategy.get("sigma", SIGMA), "learning_strategy.sigma")
    if not sigma > 0:
        raise ConversionError(f"learning_strategy.sigma must be above 0, not {sigma}")
    notes.change(
        f"learning_strategy.sigma = {sigma:g} is temperature = 1 / {sigma:g}, exactly: both aim at "
        "p exp(sigma score)"
    )
    rate = number(strategy.get("rate", RATE), "learning_strategy.rate")
    return {"algorithm": "path", "temperature": 1.0 / sigma, "learning_rate": float(rate)}


def _diversity(given: Mapping[str, Any], notes: Notes) -> Tables | None:
    name = str(given.get("type", ""))
    kind = DIVERSITY.get(plain(name))
    if kind is None:
        notes.leave_out(f"diversity_filter.type = {name!r} isn't here: see docs/diversity.md")
        return None
    notes.change(
        "diversity_filter: the best of a bucket keep their reward, not the first; scores on "
        "record don't change"
    )
    if kind == "same_molecule":  # theirs is about repeats, which aren't scored here at all
        return {
            "type": kind,
            "penalty_multiplier": number(
                given.get("penalty_multiplier", 0.5), "penalty_multiplier"
            ),
        }
    tables = {
        "type": kind,
        "bucket_size": _whole(given.get("bucket_size", 25), "bucket_size"),
        "min_score": number(given.get("minscore", 0.4), "minscore"),
    }
    if kind.startswith("similar"):
        tables["min_similarity"] = number(given.get("minsimilarity", 0.4), "minsimilarity")
    return tables


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConversionError(f"{name} must be a whole number above 0, not {value!r}")
    return value


def _say_elsewhere(where: str, given: Mapping[str, Any], notes: Notes) -> None:
    """A sentence for each key of a table that isn't written into the config."""
    known = _ELSEWHERE[where]
    for key in given:
        if key not in known:
            notes.leave_out(f"{where + '.' if where else ''}{key} isn't known here")
        elif known[key]:
            notes.change(known[key])
