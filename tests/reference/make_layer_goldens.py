"""Golden files of single layers and losses, forward and backward, in PyTorch's layouts.

Needs torch, diffusers, safetensors; run: python tests/reference/make_layer_goldens.py

Numbers are computed in double from float inputs. Beside each result <name> lies <name>.scale: the sum of absolute
products where the layer is one (elementwise), else the largest magnitude of the result (one number).
"""

import torch
import torch.nn.functional as F

from golden import Numbers, forward_backward, peak, save


class Record:
    def __init__(self, seed):
        self.numbers = Numbers(seed)
        self.tensors = {}

    def put(self, case, **tensors):
        for key, value in tensors.items():
            self.tensors[f"{case}/{key}"] = value

    def scaled(self, case, name, value, scale):
        self.put(case, **{name: value, f"{name}.scale": scale})

    def layer(self, case, function, scales=None, dy=None, **inputs):
        """`scales`: None (largest magnitude), or a function of (inputs, dy) -> {result: scale}."""
        shape = function(**inputs).shape
        dy = self.numbers.normal(*shape) if dy is None else dy
        y, grads = forward_backward(function, inputs, dy)
        results = {"y": y, **{f"d{k}": v for k, v in grads.items()}}
        given = {} if scales is None else scales(inputs, dy)
        self.put(case, **inputs, dy=dy)
        for key, value in results.items():
            self.scaled(case, key, value, given.get(key, peak(value)))

    def products(self, case, function, **inputs):
        """A layer that is linear in each of its inputs: the scale is itself on absolute values."""

        def scales(values, dy):
            magnitudes = {k: v.abs() for k, v in values.items()}
            y, grads = forward_backward(function, magnitudes, dy.abs())
            return {"y": y, **{f"d{k}": v for k, v in grads.items()}}

        self.layer(case, function, scales, **inputs)


def convolutions():
    r = Record(11)
    n = r.numbers.normal

    def conv(case, x, out, kernel, stride=1, padding=0):
        weight = n(out, x[1], kernel, kernel) / (x[1] * kernel * kernel) ** 0.5
        r.products(
            case,
            lambda x, weight, bias: F.conv2d(x, weight, bias, stride=stride, padding=padding),
            x=n(*x),
            weight=weight.float().double(),
            bias=n(out),
        )

    def transposed(case, x, out, kernel, stride, padding, output_padding):
        r.products(
            case,
            lambda x, weight, bias: F.conv_transpose2d(x, weight, bias, stride, padding, output_padding),
            x=n(*x),
            weight=n(x[1], out, kernel, kernel),
            bias=n(out),
        )

    conv("conv_3x3", (2, 5, 7, 6), 9, 3, 1, 1)
    conv("conv_3x3_from_1", (2, 1, 28, 28), 4, 3, 1, 1)
    conv("conv_3x3_to_1", (1, 8, 28, 28), 1, 3, 1, 1)
    conv("conv_3x3_7x7", (2, 17, 7, 7), 19, 3, 1, 1)
    conv("conv_3x3_winograd", (1, 16, 16, 16), 16, 3, 1, 1)
    conv("conv_3x3_winograd_odd", (2, 18, 13, 11), 20, 3, 1, 1)
    conv("conv_3x3_stride", (2, 6, 14, 14), 7, 3, 2, 1)
    conv("conv_3x3_stride_odd", (1, 3, 7, 9), 5, 3, 2, 1)
    conv("conv_3x3_stride_no_padding", (1, 3, 8, 9), 5, 3, 2, 0)
    conv("conv_1x1", (2, 7, 5, 3), 6, 1, 1, 0)
    conv("conv_5x5_odd", (1, 3, 9, 11), 4, 5, 1, 2)
    conv("conv_4x4_stride", (1, 3, 8, 8), 4, 4, 2, 1)
    transposed("transposed_4x4", (2, 5, 4, 3), 6, 4, 2, 1, 0)
    transposed("transposed_3x3", (1, 4, 7, 5), 3, 3, 2, 1, 1)
    save("layers/conv.safetensors", r.tensors)


def dense():
    r = Record(12)
    n = r.numbers.normal
    r.products("linear", F.linear, input=n(7, 19), weight=n(23, 19), bias=n(23))
    r.products("linear_tokens", F.linear, input=n(2, 5, 33), weight=n(16, 33), bias=n(16))
    r.products("linear_plain", F.linear, input=n(3, 8), weight=n(5, 8))
    index = r.numbers.below(11, 3, 4)
    r.products("embedding", lambda weight: F.embedding(index, weight), weight=n(11, 6))
    r.put("embedding", index=index)
    save("layers/linear.safetensors", r.tensors)


def norm_scales(group):
    """Scales of y and of the weight and bias gradients of a normalisation; `group` gives the normalised input."""

    def scales(inputs, dy):
        y = group(inputs["x"])
        axes = [a for a in range(y.dim()) if not (a == 1 and y.dim() == 4) and not (a == y.dim() - 1 and y.dim() < 4)]
        weight, bias = (v.abs() for v in (inputs["weight"], inputs["bias"]))
        if y.dim() == 4:
            weight, bias = weight[None, :, None, None], bias[None, :, None, None]
        return {
            "y": y.abs() * weight + bias,
            "dweight": (dy * y).abs().sum(axes),
            "dbias": dy.abs().sum(axes),
        }

    return scales


def norms():
    r = Record(13)
    n = r.numbers.normal

    def shifted(*shape):
        return (n(*shape) * 1.5 + 0.7).float().double()

    def group_norm(case, shape, groups, eps):
        r.layer(
            case,
            lambda x, weight, bias: F.group_norm(x, groups, weight, bias, eps),
            norm_scales(lambda x: F.group_norm(x, groups, eps=eps)),
            x=shifted(*shape),
            weight=n(shape[1]),
            bias=n(shape[1]),
        )

    group_norm("group_norm", (2, 12, 5, 7), 4, 1e-5)
    group_norm("group_norm_one", (3, 6, 4, 4), 1, 1e-6)
    group_norm("group_norm_each", (2, 6, 3, 5), 6, 1e-5)
    r.layer(
        "group_norm_silu",
        lambda x, weight, bias: F.silu(F.group_norm(x, 4, weight, bias, 1e-5)),
        x=shifted(2, 16, 3, 5),
        weight=n(16),
        bias=n(16),
    )
    r.layer(
        "layer_norm",
        lambda x, weight, bias: F.layer_norm(x, (37,), weight, bias, 1e-5),
        norm_scales(lambda x: F.layer_norm(x, (37,), eps=1e-5)),
        x=shifted(2, 5, 37),
        weight=n(37),
        bias=n(37),
    )
    mean, var = n(6), r.numbers.uniform(6, low=0.5, high=2.0)
    new_mean, new_var = mean.clone(), var.clone()
    x = shifted(3, 6, 5, 4)
    r.layer(
        "batch_norm_train",
        lambda x, weight, bias: F.batch_norm(x, None, None, weight, bias, True, 0.1, 1e-5),
        norm_scales(lambda x: F.batch_norm(x, None, None, training=True, eps=1e-5)),
        x=x,
        weight=n(6),
        bias=n(6),
    )
    F.batch_norm(x, new_mean, new_var, training=True, momentum=0.1, eps=1e-5)
    r.put("batch_norm_train", running_mean=mean, running_var=var)
    r.scaled("batch_norm_train", "new_running_mean", new_mean, peak(new_mean))
    r.scaled("batch_norm_train", "new_running_var", new_var, peak(new_var))
    r.layer(
        "batch_norm_eval",
        lambda x, weight, bias: F.batch_norm(x, mean, var, weight, bias, False, 0.1, 1e-5),
        norm_scales(lambda x: F.batch_norm(x, mean, var, training=False, eps=1e-5)),
        x=shifted(2, 6, 3, 4),
        weight=n(6),
        bias=n(6),
    )
    r.put("batch_norm_eval", running_mean=mean, running_var=var)
    save("layers/norm.safetensors", r.tensors)


def dy_scale(record, case, slope):
    return record.tensors[f"{case}/dy"].abs() * slope.abs().clamp(min=1)


def activations():
    r = Record(14)
    x = torch.cat([r.numbers.normal(150) * 3, torch.linspace(-20, 20, 41).double()]).float().double()
    functions = {
        "relu": F.relu,
        "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
        "silu": F.silu,
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "softplus": F.softplus,
    }
    for name, function in functions.items():
        r.layer(name, lambda x: function(x), x=x)
        y, slope = forward_backward(lambda x: function(x), {"x": x}, torch.ones_like(x))
        r.put(name, **{"y.scale": y.abs().clamp(min=1), "dx.scale": dy_scale(r, name, slope["x"])})

    def geglu(x):
        value, gate = x.chunk(2, dim=-1)
        return value * F.gelu(gate)

    r.layer("geglu", geglu, x=r.numbers.normal(3, 5, 22))
    for name, function in {"softmax": F.softmax, "log_softmax": F.log_softmax}.items():
        r.layer(name, lambda x: function(x, dim=-1), x=(r.numbers.normal(4, 3, 37) * 4).float().double())
    save("layers/activation.safetensors", r.tensors)


def heads(x, count):
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def attention():
    r = Record(15)
    n = r.numbers.normal

    def case(name, batch, queries, keys, count, dim, causal=False):
        def function(q, k, v):
            y = F.scaled_dot_product_attention(heads(q, count), heads(k, count), heads(v, count), is_causal=causal)
            return y.transpose(1, 2).flatten(2)

        q, k, v = n(batch, queries, count * dim), n(batch, keys, count * dim), n(batch, keys, count * dim)
        r.layer(name, function, lambda i, dy: {"y": function(i["q"], i["k"], i["v"].abs())}, q=q, k=k, v=v)

    case("attention_self", 2, 9, 9, 1, 8)
    case("attention_heads", 2, 12, 12, 3, 5)
    case("attention_cross", 2, 10, 7, 2, 6)
    case("attention_causal", 2, 11, 11, 2, 4, causal=True)
    case("attention_long", 1, 70, 133, 2, 8)
    case("attention_long_causal", 1, 131, 131, 1, 8, causal=True)
    case("attention_wide_head", 1, 5, 6, 1, 80)
    save("layers/attention.safetensors", r.tensors)


def resampling():
    r = Record(16)
    n = r.numbers.normal
    r.products("nearest", lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), x=n(2, 5, 3, 4))
    r.products("bilinear", lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), x=n(2, 3, 5, 4))
    r.products("bilinear_to_7x9", lambda x: F.interpolate(x, size=(7, 9), mode="bilinear"), x=n(1, 3, 4, 5))
    r.products("avg_pool", lambda x: F.avg_pool2d(x, 2), x=n(2, 5, 6, 4))
    r.products("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), x=n(2, 3, 6, 4))
    r.products("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), x=n(2, 12, 3, 4))
    save("layers/resample.safetensors", r.tensors)


def losses():
    r = Record(17)
    n = r.numbers.normal
    one = torch.ones((), dtype=torch.float64)
    target = n(4, 3, 5)

    def loss(case, function, x, target, keep=True):
        r.layer(case, lambda x: function(x, target), dy=one, x=x)
        r.put(case, target=target)

    loss("mse", F.mse_loss, n(4, 3, 5), target)
    loss("l1", F.l1_loss, n(4, 3, 5), target)
    loss("huber", lambda x, t: F.huber_loss(x, t, delta=0.7), n(4, 3, 5), target)
    loss("bce_with_logits", F.binary_cross_entropy_with_logits, (n(6, 5) * 4).float().double(), r.numbers.uniform(6, 5))
    labels = r.numbers.below(10, 7)
    loss("cross_entropy", F.cross_entropy, (n(7, 10) * 2).float().double(), labels)
    smooth = lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1)  # noqa: E731
    loss("cross_entropy_smooth", smooth, (n(7, 10) * 2).float().double(), labels)
    save("layers/loss.safetensors", r.tensors)


if __name__ == "__main__":
    convolutions()
    dense()
    norms()
    activations()
    attention()
    resampling()
    losses()
