// Sums of products of quantized numbers, quantized again.

/// `sums` times the factor whose bits are `channel.x`, to the nearest, ties to even, plus the zero point `channel.w`, saturated.
fn requantize(sums: vec4<i32>, channel: vec4<i32>, lowest: i32, highest: i32) -> vec4<i32> {
    let limits = vec2<f32>(vec2<i32>(lowest, highest) - channel.w);
    let scaled = round(vec4<f32>(sums) * bitcast<f32>(channel.x));
    return vec4<i32>(clamp(scaled, vec4<f32>(limits.x), vec4<f32>(limits.y))) + channel.w;
}
