// Integers narrower than their storage.

/// x at the width of its type: `mask` has the type's bits, `sign` its sign bit. All ones, and floats, stay as they are.
fn wrap(x: Accumulator4, mask: u32, sign: u32) -> Accumulator4 {
    if mask == 0xffffffffu {
        return x;
    }
    let bits = vec4<u32>(x) & vec4<u32>(mask);
    return Accumulator4((bits ^ vec4<u32>(sign)) - vec4<u32>(sign));
}
