"""Weights between HuggingFace's GPT2Model and the paper's form of the transformer."""

import re
from collections.abc import Mapping

import torch

_NAMES = {
    "wte.weight": "tokens.weight",
    "wpe.weight": "positions.weight",
    "ln_f.weight": "norm.weight",
    "ln_f.bias": "norm.bias",
}
_PARTS = {
    "ln_1": "attention_norm",
    "attn.c_attn": "attention.query_key_value",
    "attn.c_proj": "attention.output",
    "ln_2": "mlp_norm",
    "mlp.c_fc": "mlp.hidden",
    "mlp.c_proj": "mlp.output",
}


def from_gpt2(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename and transpose the weights of a GPT2Model for ``Transformer.load_state_dict``.

    GPT-2's Conv1D layers keep (inputs, outputs) matrices, linear layers (outputs, inputs). The
    causal-mask buffers of older versions are left out.

    Raises:
        KeyError: a name that GPT2Model does not have.
    """
    result = {}
    for name, tensor in state.items():
        if re.fullmatch(r"h\.\d+\.attn\.(bias|masked_bias)", name):
            continue
        if name in _NAMES:
            result[_NAMES[name]] = tensor
            continue
        match = re.fullmatch(r"h\.(\d+)\.(.+)\.(weight|bias)", name)
        if match is None or match[2] not in _PARTS:
            raise KeyError(f"{name} is not a weight of GPT2Model")
        is_conv1d = match[3] == "weight" and tensor.dim() == 2
        result[f"blocks.{match[1]}.{_PARTS[match[2]]}.{match[3]}"] = (
            tensor.T.contiguous() if is_conv1d else tensor
        )
    return result
