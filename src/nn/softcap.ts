/** @file Soft capping: values squeezed smoothly into an open interval. It knows nothing about what they are. */
import { multiply, scalar, scale, subtract, tanh, type Tensor } from "../graph/index.ts";

/** cap·tanh(x/cap), which lies within ±cap [Gemma Team 2024, §2]. */
export const softcap = (x: Tensor, cap: number): Tensor => scale(tanh(scale(x, 1 / cap)), cap);

/** Its derivative from its value y: 1 − (y/cap)². */
export const softcapSlope = (y: Tensor, cap: number): Tensor => subtract(scalar(1), scale(multiply(y, y), cap ** -2));
