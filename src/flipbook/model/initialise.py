"""What weights may a FastVLM start from when there is no checkpoint?

    model made from a configuration, seed -> the same model, with weights that see

A FastVLM made from its configuration alone is blind: behind fifty convolutions with default
weights the features of any picture have a standard deviation of 1e-24, so a full clip, a shuffled
one and an empty one all score the same. Three things open its eyes: depthwise kernels that mostly
pass their centre on, layer scales that let the residual branches speak, and a walk through the
tower that gives every layer's output unit variance on a few pictures before the next is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

LAYER_SCALE = 0.3  # a residual branch adds 9 % of variance: 40 blocks stay near unit variance
KERNEL_NOISE = 0.5  # norm of a depthwise kernel's noise beside its centre weight of one
EMBEDDING_STD = 0.02  # as Qwen2 itself starts
NUM_IMAGES = 8
SMALLEST_VARIANCE = 1e-8


@torch.no_grad()
def initialise_(model: Any, *, seed: int, frame_size: int) -> None:
    """Give `model` random weights with which different pictures make different features.

    Every weight and every BatchNorm buffer is set from `seed` alone, in place. The model may be
    of any size; a full-size tower at 256 px takes under a minute on one core.

    Args:
        model: a `FastVlmForConditionalGeneration`.
        seed: same seed, same weights, whatever the global random state.
        frame_size: side in px of the pictures on which layers are scaled, a multiple of 64.

    Source: Mishkin and Matas, "All you need is a good init" (LSUV), 2015, section 3.
    """
    generator = torch.Generator().manual_seed(seed)
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    for part in (tower, projector, model.model.language_model, model.lm_head):
        for module in part.modules():
            _set_weights(module, generator)
    _shrink_residual_outputs(model.model.language_model)
    model.tie_weights()
    images = probe_images(NUM_IMAGES, frame_size=frame_size, seed=seed)
    reference = next(projector.parameters())
    _scale_layer_by_layer(
        model.model,
        [*_layers(tower), *_layers(projector)],
        images.to(device=reference.device, dtype=reference.dtype),
    )


def probe_images(num_images: int, *, frame_size: int, seed: int) -> Tensor:
    """Return float32 pictures in [0, 1] with blobs of every size, shape (B, 3, S, S).

    Noise at one scale would be averaged away by the stride of 64; these have structure at all.
    """
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(num_images, 3, frame_size, frame_size)
    for side in (1, 2, 4, 8, 16, 32):
        noise = torch.randn(num_images, 3, side, side, generator=generator)
        total += nn.functional.interpolate(noise, size=(frame_size, frame_size), mode="bilinear")
    return torch.sigmoid(total)  # (B, 3, S, S)


def _layers(part: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of one part whose outputs are scaled, in no order that matters."""
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    return (module for module in part.modules() if isinstance(module, kinds))


def _set_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Set one module's own parameters and buffers; containers are left to their children."""
    gamma = getattr(module, "gamma", None)
    if isinstance(gamma, nn.Parameter):
        gamma.fill_(LAYER_SCALE)
    elif isinstance(module, nn.Embedding):
        _fill(module.weight, std=EMBEDDING_STD, generator=generator)
    elif isinstance(module, nn.Conv2d) and module.groups > 1:
        _centre_weight(module, generator)
    elif isinstance(module, nn.Conv2d | nn.Linear):
        fan_in = module.weight[0].numel()
        _fill(module.weight, std=1 / math.sqrt(fan_in), generator=generator)
        _zero_bias(module)
    elif isinstance(module, nn.BatchNorm2d):
        module.reset_parameters()
    elif isinstance(getattr(module, "weight", None), nn.Parameter):  # LayerNorm, RMSNorm
        nn.init.ones_(module.get_parameter("weight"))
        _zero_bias(module)


def _fill(weight: Tensor, *, std: float, generator: torch.Generator) -> None:
    """Fill a weight on any device, in any dtype, with numbers drawn on the CPU in float32."""
    weight.copy_(torch.randn(weight.shape, generator=generator).mul_(std))


def _zero_bias(module: nn.Module) -> None:
    bias = getattr(module, "bias", None)
    if isinstance(bias, nn.Parameter):
        bias.zero_()


def _centre_weight(conv: nn.Conv2d, generator: torch.Generator) -> None:
    """Let each channel of a grouped convolution mostly pass its input's centre on."""
    height, width = conv.weight.shape[-2:]
    _fill(conv.weight, std=KERNEL_NOISE / math.sqrt(conv.weight[0].numel()), generator=generator)
    conv.weight[:, :, height // 2, width // 2] += 1.0
    _zero_bias(conv)


def _shrink_residual_outputs(language_model: Any) -> None:
    """Divide what each of the 2N branches adds by sqrt(2N), so depth does not add up."""
    shrink = 1 / math.sqrt(2 * len(language_model.layers))
    for layer in language_model.layers:
        layer.self_attn.o_proj.weight.mul_(shrink)
        layer.mlp.down_proj.weight.mul_(shrink)


def _scale_layer_by_layer(model: Any, layers: list[nn.Module], images: Tensor) -> None:
    """Run the pictures through once; a layer is corrected before the next sees its output."""
    hooks = [layer.register_forward_hook(_correct) for layer in layers]
    was_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        model.get_image_features(pixel_values=images)
    finally:
        for hook in hooks:
            hook.remove()
        for module in was_training:
            module.training = True


def _correct(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Scale one layer so that its output has unit variance, and centre each of its channels."""
    if isinstance(module, nn.BatchNorm2d):
        return _set_statistics(module, inputs[0])
    assert isinstance(module, nn.Conv2d | nn.Linear)
    channel_dim = output.dim() - 1 if isinstance(module, nn.Linear) else 1
    by_channel = output.float().transpose(0, channel_dim).flatten(1)  # (D, everything else)
    mean = by_channel.mean(dim=1)
    if module.bias is None:
        mean.zero_()
    variance = (by_channel - mean[:, None]).square().mean()
    scale = variance.clamp(min=SMALLEST_VARIANCE).rsqrt()
    module.weight.mul_(scale)
    if module.bias is not None:
        module.bias.copy_((module.bias - mean) * scale)
    shape = [1] * output.dim()
    shape[channel_dim] = -1
    return (output - mean.view(shape).to(output.dtype)) * scale.to(output.dtype)


def _set_statistics(norm: nn.BatchNorm2d, features: Tensor) -> Tensor:
    """Let BatchNorm's buffers hold the statistics of what it reads; return its new output."""
    by_channel = features.float().transpose(0, 1).flatten(1)  # (D, B * H * W)
    variance = by_channel.var(dim=1, correction=0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(by_channel.mean(dim=1))
    norm.running_var.copy_(variance.clamp(min=0.01 * float(variance.mean())))
    return nn.functional.batch_norm(
        features, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )
