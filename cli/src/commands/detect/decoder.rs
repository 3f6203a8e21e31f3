//! Which kind of detector a network is, by the shapes of its input and outputs.

use clap::ValueEnum;
use image::RgbImage;
use macula::{Outputs, TensorType};

use super::boxes::Detection;
use super::{ultraface, yolox};

/// A kind of detector: how photos become its input, and its outputs boxes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Decoder {
    /// One output [1, cells, 5 + classes]: YOLOX as its authors export it, cells of 8, 16 and 32 pixels
    Yolox,
    /// Two outputs [1, priors, 2] and [1, priors, 4]: UltraFace, faces
    Ultraface,
}

impl Decoder {
    /// The kind whose shapes these are, for an input `[1, 3, height, width]` of this size.
    pub fn recognise(size: [usize; 2], outputs: &[TensorType]) -> Option<Self> {
        Decoder::value_variants().iter().copied().find(|decoder| decoder.fits(size, outputs))
    }

    /// Whether a network of this kind has these outputs.
    pub fn fits(self, size: [usize; 2], outputs: &[TensorType]) -> bool {
        let dims: Vec<&[usize]> = outputs.iter().map(|ty| ty.shape.dims()).collect();
        let fits = match (self, &dims[..]) {
            (Decoder::Yolox, [[1, rows, columns]]) => *rows == yolox::cells(size) && *columns > 5,
            (Decoder::Ultraface, [[1, scores, 2], [1, corners, 4]]) => *scores == ultraface::priors(size) && corners == scores,
            _ => false,
        };
        fits && outputs.iter().all(|ty| ty.dtype.is_float())
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Decoder::Yolox => "yolox",
            Decoder::Ultraface => "ultraface",
        }
    }

    /// What its outputs have to be for an input of this size.
    pub fn expects(self, size: [usize; 2]) -> String {
        match self {
            Decoder::Yolox => format!("one output [1,{},5 + classes]", yolox::cells(size)),
            Decoder::Ultraface => format!("two outputs [1,{0},2] and [1,{0},4]", ultraface::priors(size)),
        }
    }

    /// The score from which on boxes count, and the overlap from which on one suppresses another, as the authors use them.
    pub fn thresholds(self) -> [f64; 2] {
        match self {
            Decoder::Yolox => [0.3, 0.45],
            Decoder::Ultraface => [0.7, 0.5],
        }
    }

    /// The classes by name, where the kind or their number says which they are.
    pub fn classes(self, outputs: &[TensorType]) -> Option<Vec<String>> {
        let owned = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        match (self, self.class_count(outputs)) {
            (Decoder::Yolox, 80) => owned(&crate::labels::COCO),
            (Decoder::Yolox, _) => None,
            (Decoder::Ultraface, _) => owned(&["face"]),
        }
    }

    /// How many classes it tells apart.
    pub fn class_count(self, outputs: &[TensorType]) -> usize {
        match self {
            Decoder::Yolox => outputs[0].shape[2] - 5,
            Decoder::Ultraface => 1,
        }
    }

    /// The photo as the input, `[3, height, width]`.
    pub fn prepare(self, photo: &RgbImage, size: [usize; 2]) -> Vec<f32> {
        match self {
            Decoder::Yolox => yolox::prepare(photo, size),
            Decoder::Ultraface => ultraface::prepare(photo, size),
        }
    }

    /// All boxes of at least `threshold`, in the photo's coordinates, many on one thing.
    pub fn decode(self, outputs: &Outputs, photo: &RgbImage, size: [usize; 2], threshold: f64) -> Vec<Detection> {
        match self {
            Decoder::Yolox => yolox::decode(&outputs[0], photo, size, threshold),
            Decoder::Ultraface => ultraface::decode(&outputs[0], &outputs[1], photo, threshold),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use macula::DType;

    #[test]
    fn shapes_tell_which_it_is() {
        let ty = |dims: &[usize]| TensorType::new(DType::F32, dims);
        assert_eq!(Decoder::recognise([416, 416], &[ty(&[1, 3549, 85])]), Some(Decoder::Yolox));
        assert_eq!(Decoder::recognise([240, 320], &[ty(&[1, 4420, 2]), ty(&[1, 4420, 4])]), Some(Decoder::Ultraface));
        for (size, outputs) in [
            ([416, 320], vec![ty(&[1, 3549, 85])]),
            ([416, 416], vec![ty(&[1, 3549, 5])]),
            ([416, 416], vec![ty(&[2, 3549, 85])]),
            ([240, 320], vec![ty(&[1, 4420, 4]), ty(&[1, 4420, 2])]),
            ([240, 320], vec![ty(&[1, 4420, 2])]),
            ([240, 320], vec![]),
            ([416, 416], vec![TensorType::new(DType::I64, [1, 3549, 85])]),
        ] {
            assert_eq!(Decoder::recognise(size, &outputs), None, "{outputs:?}");
        }
    }
}
