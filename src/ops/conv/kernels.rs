//! The kernels of convolution, its transpose and its relatives, as data.

use crate::ops::fused::{ELEMENT_EPILOGUE, VECTOR_EPILOGUE};
use crate::ops::tile::{ROLLED, TILE_HEADERS, TILE_ROWS, WORKGROUPS};
use crate::plan::{Access, FLOAT_ELEMENT, INDEX, Kernel, OPAQUE, Override, Part, WORKGROUP_SIZE, params, part};

pub(super) const HAS_BIAS: Override = Override { name: "HAS_BIAS", values: &[0, 1] };
const REQUANTIZE: Part = part!("shared/requantize.wgsl");
pub(super) const BINDINGS: &[Access] = &[Access::Read, Access::Read, Access::Read, Access::Write];

params! {
    pub(crate) struct PointwiseParams {
        in_channels: u32,
        out_channels: u32,
        groups: u32,
        vectors: u32,
        weight_vectors: u32,
    }
}

pub(crate) static POINTWISE: Kernel = Kernel {
    name: "conv2d_pointwise",
    body: part!("conv2d_pointwise.wgsl"),
    parts: &[OPAQUE, TILE_ROWS],
    types: &[FLOAT_ELEMENT],
    tiles: TILE_HEADERS,
    overrides: &[HAS_BIAS, ROLLED, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: PointwiseParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: VECTOR_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

params! {
    pub(crate) struct ImplicitGemmParams {
        in_channels: u32,
        in_depth: u32,
        in_height: u32,
        in_width: u32,
        out_channels: u32,
        out_depth: u32,
        out_width: u32,
        out_pixels: u32,
        kernel_depth: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride_z: u32,
        stride_y: u32,
        stride_x: u32,
        dilation_z: u32,
        dilation_y: u32,
        dilation_x: u32,
        front: u32,
        top: u32,
        left: u32,
        groups: u32,
        weight_vectors: u32,
    }
}

pub(crate) static IMPLICIT_GEMM: Kernel = Kernel {
    name: "conv2d_implicit_gemm",
    body: part!("conv2d_implicit_gemm.wgsl"),
    parts: &[OPAQUE, TILE_ROWS],
    types: &[FLOAT_ELEMENT],
    tiles: TILE_HEADERS,
    overrides: &[HAS_BIAS, ROLLED, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: ImplicitGemmParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

params! {
    pub(crate) struct DirectParams {
        outputs: u32,
        groups: u32,
        in_channels: u32,
        out_channels: u32,
        in_depth: u32,
        in_height: u32,
        in_width: u32,
        out_depth: u32,
        out_height: u32,
        out_width: u32,
        kernel_depth: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride_z: u32,
        stride_y: u32,
        stride_x: u32,
        dilation_z: u32,
        dilation_y: u32,
        dilation_x: u32,
        front: u32,
        top: u32,
        left: u32,
    }
}

pub(crate) static DIRECT: Kernel = Kernel {
    name: "conv2d_direct",
    body: part!("conv2d_direct.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[HAS_BIAS, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: DirectParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

params! {
    pub(crate) struct TransposeTiledParams {
        in_channels: u32,
        in_depth: u32,
        in_height: u32,
        in_width: u32,
        out_channels: u32,
        out_depth: u32,
        out_height: u32,
        out_width: u32,
        phases_y: u32,
        phases_x: u32,
        groups: u32,
        weight_vectors: u32,
        kernel_depth: i32,
        kernel_height: i32,
        kernel_width: i32,
        stride_z: i32,
        stride_y: i32,
        stride_x: i32,
        dilation_z: i32,
        dilation_y: i32,
        dilation_x: i32,
        front: i32,
        top: i32,
        left: i32,
    }
}

pub(crate) static TRANSPOSE_TILED: Kernel = Kernel {
    name: "conv_transpose_implicit_gemm",
    body: part!("conv_transpose_implicit_gemm.wgsl"),
    parts: &[OPAQUE, TILE_ROWS],
    types: &[FLOAT_ELEMENT],
    tiles: TILE_HEADERS,
    overrides: &[HAS_BIAS, ROLLED, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: TransposeTiledParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

params! {
    pub(crate) struct TransposeDirectParams {
        outputs: u32,
        groups: u32,
        in_channels: u32,
        out_channels: u32,
        in_depth: u32,
        in_height: u32,
        in_width: u32,
        out_depth: u32,
        out_height: u32,
        out_width: u32,
        kernel_depth: i32,
        kernel_height: i32,
        kernel_width: i32,
        stride_z: i32,
        stride_y: i32,
        stride_x: i32,
        dilation_z: i32,
        dilation_y: i32,
        dilation_x: i32,
        front: i32,
        top: i32,
        left: i32,
    }
}

pub(crate) static TRANSPOSE_DIRECT: Kernel = Kernel {
    name: "conv_transpose_direct",
    body: part!("conv_transpose_direct.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[HAS_BIAS, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: TransposeDirectParams::LAYOUT,
    bindings: BINDINGS,
    epilogue: ELEMENT_EPILOGUE,
    in_place: Some(4),
    ..Kernel::BASE
};

params! {
    pub(crate) struct RequantizationParams {
        channels: u32,
        w_scale_step: u32,
        w_zero_point_step: u32,
    }
}

pub(crate) static REQUANTIZATION: Kernel = Kernel {
    name: "requantization",
    body: part!("requantization.wgsl"),
    parts: &[],
    types: &[],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: RequantizationParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

params! {
    pub(crate) struct IntegerParams {
        in_channels: u32,
        in_depth: u32,
        in_height: u32,
        in_width: u32,
        out_channels: u32,
        out_depth: u32,
        out_width: u32,
        out_pixels: u32,
        kernel_depth: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride_z: u32,
        stride_y: u32,
        stride_x: u32,
        dilation_z: u32,
        dilation_y: u32,
        dilation_x: u32,
        front: u32,
        top: u32,
        left: u32,
        groups: u32,
        lowest: i32,
        highest: i32,
    }
}

pub(crate) static INTEGER: Kernel = Kernel {
    name: "conv_integer",
    body: part!("conv_integer.wgsl"),
    parts: &[REQUANTIZE],
    types: &[],
    tiles: TILE_HEADERS,
    overrides: &[HAS_BIAS, Override { name: "REQUANTIZE", values: &[0, 1] }, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: IntegerParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

params! {
    pub(crate) struct IntegerColumnsParams {
        channels: u32,
        in_depth: u32,
        in_height: u32,
        in_width: u32,
        out_height: u32,
        out_width: u32,
        out_pixels: u32,
        kernel_depth: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride_z: u32,
        stride_y: u32,
        stride_x: u32,
        dilation_z: u32,
        dilation_y: u32,
        dilation_x: u32,
        front: u32,
        top: u32,
        left: u32,
        shift: i32,
    }
}

pub(crate) static INTEGER_COLUMNS: Kernel = Kernel {
    name: "conv_integer_columns",
    body: part!("conv_integer_columns.wgsl"),
    parts: &[],
    types: &[],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: IntegerColumnsParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

params! {
    pub(crate) struct IntegerPackedParams {
        columns: u32,
        vectors: u32,
        out_channels: u32,
        out_pixels: u32,
        x_shift: i32,
        w_shift: i32,
        lowest: i32,
        highest: i32,
    }
}

pub(crate) static INTEGER_PACKED: Kernel = Kernel {
    name: "conv_integer_packed",
    body: part!("conv_integer_packed.wgsl"),
    parts: &[REQUANTIZE],
    types: &[],
    tiles: TILE_HEADERS,
    overrides: &[
        Override { name: "COLUMN_SUMS", values: &[0, 1] },
        HAS_BIAS,
        Override { name: "REQUANTIZE", values: &[0, 1] },
        Override { name: "WORKGROUP_SIZE", values: WORKGROUPS },
    ],
    params: IntegerPackedParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

params! {
    pub(crate) struct DeformColumnsParams {
        group_channels: u32,
        offset_groups: u32,
        taps: u32,
        rank: u32,
        in_depth: u32,
        in_height: u32,
        in_width: u32,
        out_height: u32,
        out_width: u32,
        out_pixels: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride_z: u32,
        stride_y: u32,
        stride_x: u32,
        dilation_z: u32,
        dilation_y: u32,
        dilation_x: u32,
        front: u32,
        top: u32,
        left: u32,
    }
}

pub(crate) static DEFORM_COLUMNS: Kernel = Kernel {
    name: "deform_conv_columns",
    body: part!("deform_conv_columns.wgsl"),
    parts: &[],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "HAS_MASK", values: &[0, 1] }, Override { name: "WORKGROUP_SIZE", values: WORKGROUPS }],
    params: DeformColumnsParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};
