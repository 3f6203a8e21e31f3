// Values that the compiler cannot see through: some drivers compile a kernel anew at every dispatch where a uniform's value alone ends a loop or
// decides an `if`, see the README.

/// `value`; the condition never holds.
fn opaque(value: u32, workgroup: vec3<u32>) -> u32 {
    return select(value, 0u, workgroup.x == 0xffffffffu);
}
