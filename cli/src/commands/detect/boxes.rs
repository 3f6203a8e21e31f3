//! Boxes: how much they overlap, and which of many on one thing is kept.

/// A rectangle in a picture's continuous coordinates: pixel `i` covers `i..i + 1`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rect {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

/// Something that a network found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Detection {
    pub rect: Rect,
    /// The number of its class.
    pub class: usize,
    /// How sure the network is, 0 to 1.
    pub score: f64,
}

impl Rect {
    /// The area; 0 where a side is negative.
    pub fn area(&self) -> f64 {
        (self.right - self.left).max(0.0) * (self.bottom - self.top).max(0.0)
    }

    /// Intersection over union: 1 for the same rectangle, 0 for those that do not overlap or have no area.
    pub fn iou(&self, other: &Rect) -> f64 {
        let shared = Rect {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        let shared = shared.area();
        if shared > 0.0 { shared / (self.area() + other.area() - shared) } else { 0.0 }
    }

    /// The part of it that lies in a picture.
    pub fn clipped(&self, width: f64, height: f64) -> Rect {
        Rect {
            left: self.left.clamp(0.0, width),
            top: self.top.clamp(0.0, height),
            right: self.right.clamp(0.0, width),
            bottom: self.bottom.clamp(0.0, height),
        }
    }
}

/// Non-maximum suppression: the surest first, without those that overlap a surer one of the same class by more than `iou`.
pub fn suppress(mut found: Vec<Detection>, iou: f64) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = vec![];
    for one in found {
        if !kept.iter().any(|surer| surer.class == one.class && surer.rect.iou(&one.rect) > iou) {
            kept.push(one);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect(left: f64, top: f64, right: f64, bottom: f64) -> Rect {
        Rect { left, top, right, bottom }
    }

    fn detection(rect: Rect, class: usize, score: f64) -> Detection {
        Detection { rect, class, score }
    }

    #[test]
    fn overlap_is_shared_area_of_all_area() {
        let a = rect(0.0, 0.0, 4.0, 2.0);
        assert_eq!(a.iou(&a), 1.0);
        // Half of it shared with one as large: 4 of 8 + 8 − 4.
        assert_eq!(a.iou(&rect(2.0, 0.0, 6.0, 2.0)), 4.0 / 12.0);
        // One inside the other: 1 of 8.
        assert_eq!(a.iou(&rect(1.0, 1.0, 2.0, 2.0)), 1.0 / 8.0);
        // 1 × 1 of 8 + 6 − 1, and the same the other way round.
        let b = rect(3.0, 1.0, 6.0, 3.0);
        assert_eq!((a.iou(&b), b.iou(&a)), (1.0 / 13.0, 1.0 / 13.0));
    }

    #[test]
    fn no_overlap_is_none() {
        let a = rect(0.0, 0.0, 4.0, 2.0);
        for other in [rect(4.0, 0.0, 5.0, 2.0), rect(0.0, 2.0, 4.0, 3.0), rect(9.0, 9.0, 10.0, 10.0), rect(-3.0, -3.0, -1.0, -1.0)] {
            assert_eq!(a.iou(&other), 0.0);
        }
        // Points, lines and inverted rectangles have no area; neither is NaN.
        let point = rect(1.0, 1.0, 1.0, 1.0);
        assert_eq!((point.iou(&point), a.iou(&point), a.iou(&rect(0.0, 1.0, 4.0, 1.0))), (0.0, 0.0, 0.0));
        let inverted = rect(3.0, 2.0, 1.0, 0.0);
        assert_eq!((inverted.area(), a.iou(&inverted)), (0.0, 0.0));
        assert!(!a.iou(&rect(f64::NAN, 0.0, 1.0, 1.0)).is_nan());
    }

    #[test]
    fn the_surest_of_a_heap_stays() {
        let a = detection(rect(0.0, 0.0, 10.0, 10.0), 0, 0.6);
        // Shared with a 80 of 120, with b 80 of 120 too; c only 60 of 140 with a.
        let b = detection(rect(2.0, 0.0, 12.0, 10.0), 0, 0.9);
        let c = detection(rect(4.0, 0.0, 14.0, 10.0), 0, 0.7);
        assert_eq!(suppress(vec![a, b, c], 0.5), [b]);
        // What was suppressed suppresses nothing: without b, a and c overlap too little.
        assert_eq!(suppress(vec![a, c], 0.5), [c, a]);
        assert_eq!(suppress(vec![a, b, c], 0.4), [b]);
        assert_eq!(suppress(vec![a, b, c], 0.7), [b, c, a]);
        // Exactly the limit is not more than the limit.
        assert_eq!(suppress(vec![a, b], 80.0 / 120.0), [b, a]);
    }

    #[test]
    fn classes_do_not_suppress_each_other() {
        let same = rect(0.0, 0.0, 10.0, 10.0);
        let (cup, spoon, twin) = (detection(same, 41, 0.8), detection(same, 44, 0.5), detection(same, 41, 0.3));
        assert_eq!(suppress(vec![twin, spoon, cup], 0.5), [cup, spoon]);
        assert_eq!(suppress(vec![], 0.5), []);
    }

    #[test]
    fn rectangles_are_clipped_to_the_picture() {
        assert_eq!(rect(-3.0, 1.0, 12.0, 9.0).clipped(10.0, 8.0), rect(0.0, 1.0, 10.0, 8.0));
        assert_eq!(rect(20.0, 1.0, 22.0, 9.0).clipped(10.0, 8.0).area(), 0.0);
    }
}
