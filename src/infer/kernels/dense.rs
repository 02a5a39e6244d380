//! The convolution that mixes all channels, and with one tap the matrix product: 4 pixels by 8 channels at a time.
#![allow(unsafe_code)]

use super::lanes::{Lanes, four};

/// Output channels of one packed panel.
pub(super) const PANEL: usize = 8;

/// Pixels of one tile: with 8 channels that is 8 accumulators, 2 weights and 1 picture value in 16 registers.
const TILE: usize = 4;

/// Panels that one pixel alone is multiplied with at once, so that as many sums run side by side as in a tile.
const ROW: usize = 4;

/// Where the values of a convolution lie, all sizes in f32 or pixels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reach {
    /// Pixels in a row of the (already padded) input.
    pub(super) in_width: usize,
    /// Rows of the input.
    pub(super) in_height: usize,
    /// Channels of an input pixel.
    pub(super) in_channels: usize,
    /// Height and width of the kernel.
    pub(super) kernel: [usize; 2],
    /// Steps of the kernel downwards and to the right.
    pub(super) stride: [usize; 2],
    /// Rows of the output.
    pub(super) out_height: usize,
    /// Pixels in a row of the output.
    pub(super) out_width: usize,
    /// Channels of an output pixel.
    pub(super) out_channels: usize,
}

impl Reach {
    fn in_len(&self) -> usize {
        self.in_height * self.in_width * self.in_channels
    }

    fn out_len(&self) -> usize {
        self.out_height * self.out_width * self.out_channels
    }

    /// The first value of the input that the output pixel `pixel` reads.
    fn first(&self, pixel: usize) -> usize {
        let (y, x) = (pixel / self.out_width, pixel % self.out_width);
        (y * self.stride[0] * self.in_width + x * self.stride[1]) * self.in_channels
    }

    /// Numbers of one packed panel.
    fn panel_len(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.in_channels * PANEL
    }
}

/// `weights` (`[out, in, height, width]`, row-major) as panels `[out / 8][height][width][in][8]`, the last filled with zeros.
pub(super) fn pack(weights: &[f32], out: usize, input: usize, [height, width]: [usize; 2]) -> Vec<f32> {
    let mut packed = vec![0.0; out.div_ceil(PANEL) * height * width * input * PANEL];
    for o in 0..out {
        for i in 0..input {
            for y in 0..height {
                for x in 0..width {
                    let to = ((((o / PANEL) * height + y) * width + x) * input + i) * PANEL + o % PANEL;
                    packed[to] = weights[((o * input + i) * height + y) * width + x];
                }
            }
        }
    }
    packed
}

/// `bias` filled with zeros up to whole panels.
pub(super) fn pack_bias(bias: &[f32], out: usize) -> Vec<f32> {
    let mut packed = vec![0.0; out.div_ceil(PANEL) * PANEL];
    packed[..bias.len()].copy_from_slice(bias);
    packed
}

/// One picture: `output = within(limits, input * weights + bias + shortcut)`.
///
/// `input` is `[in_height, in_width, in_channels]`, `output` and `shortcut` are `[out_height, out_width,
/// out_channels]`, `weights` and `bias` come from [`pack`] and [`pack_bias`].
pub(super) fn convolve(
    reach: &Reach,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    shortcut: Option<&[f32]>,
    limits: [f32; 2],
    output: &mut [f32],
) {
    let panels = reach.out_channels.div_ceil(PANEL);
    let pixels = reach.out_height * reach.out_width;
    // Everything that the pointers below rely on.
    assert!(input.len() >= reach.in_len() && output.len() == reach.out_len());
    assert!(weights.len() == panels * reach.panel_len() && bias.len() == panels * PANEL);
    assert!(shortcut.is_none_or(|s| s.len() == output.len()));
    assert!(pixels == 0 || (reach.out_height - 1) * reach.stride[0] + reach.kernel[0] <= reach.in_height);
    assert!(pixels == 0 || (reach.out_width - 1) * reach.stride[1] + reach.kernel[1] <= reach.in_width);

    let loops = Loops {
        rows: reach.kernel[0],
        run: reach.kernel[1] * reach.in_channels,
        row_step: reach.in_width * reach.in_channels,
        panel_len: reach.panel_len(),
        out_channels: reach.out_channels,
        low: Lanes::splat(limits[0]),
        high: Lanes::splat(limits[1]),
    };
    let shortcut = shortcut.map_or(std::ptr::null(), <[f32]>::as_ptr);
    let mut pixel = 0;
    // SAFETY: a tile of M pixels reads, from the first value of each pixel on, `rows` runs of `run` values `row_step`
    // apart, which the assertions above keep inside `input`; it reads whole panels, which `weights` and `bias` consist
    // of; and it writes (and adds) at most `out_channels` values for each of its pixels.
    unsafe {
        while pixel + TILE <= pixels {
            let from = [pixel, pixel + 1, pixel + 2, pixel + 3].map(|p| input.as_ptr().add(reach.first(p)));
            for panel in 0..panels {
                loops.tile(
                    from,
                    weights.as_ptr().add(panel * loops.panel_len),
                    bias.as_ptr().add(panel * PANEL),
                    Edge::new(pixel, panel, reach.out_channels, shortcut, output),
                );
            }
            pixel += TILE;
        }
        while pixel < pixels {
            let from = input.as_ptr().add(reach.first(pixel));
            let mut panel = 0;
            while panel < panels {
                let width = if panel + ROW <= panels { ROW } else { 1 };
                let w = weights.as_ptr().add(panel * loops.panel_len);
                let b = bias.as_ptr().add(panel * PANEL);
                let edge = Edge::new(pixel, panel, reach.out_channels, shortcut, output);
                if width == ROW {
                    loops.row::<ROW>(from, w, b, edge);
                } else {
                    loops.row::<1>(from, w, b, edge);
                }
                panel += width;
            }
            pixel += 1;
        }
    }
}

/// What all tiles of one convolution share.
struct Loops {
    rows: usize,
    run: usize,
    row_step: usize,
    panel_len: usize,
    out_channels: usize,
    low: Lanes,
    high: Lanes,
}

/// Where a result goes, and how many channels there are from it to the end of the pixel.
#[derive(Clone, Copy)]
struct Edge {
    to: *mut f32,
    shortcut: *const f32,
    channels: usize,
}

impl Edge {
    /// # Safety
    /// `pixel` and `panel` must lie inside `output`, and inside `shortcut` if that is not null.
    #[inline(always)]
    unsafe fn new(
        pixel: usize,
        panel: usize,
        channels: usize,
        shortcut: *const f32,
        output: &mut [f32],
    ) -> Edge {
        let at = pixel * channels + panel * PANEL;
        // SAFETY: the caller's promise.
        unsafe {
            Edge {
                to: output.as_mut_ptr().add(at),
                shortcut: if shortcut.is_null() { shortcut } else { shortcut.add(at) },
                channels: channels - panel * PANEL,
            }
        }
    }

    /// The place `step` values further on.
    ///
    /// # Safety
    /// It must lie inside the output, and inside the shortcut if there is one.
    #[inline(always)]
    unsafe fn moved(self, step: usize, channels: usize) -> Edge {
        // SAFETY: the caller's promise.
        unsafe {
            Edge {
                to: self.to.add(step),
                shortcut: if self.shortcut.is_null() { self.shortcut } else { self.shortcut.add(step) },
                channels,
            }
        }
    }
}

impl Loops {
    /// Four pixels by one panel.
    ///
    /// # Safety
    /// See [`convolve`].
    #[inline(always)]
    unsafe fn tile(&self, from: [*const f32; TILE], mut w: *const f32, bias: *const f32, edge: Edge) {
        // SAFETY: see `convolve`.
        unsafe {
            let start = [Lanes::load(bias), Lanes::load(bias.add(4))];
            let mut sums: [[Lanes; 2]; TILE] = [start, start, start, start];
            for row in 0..self.rows {
                let mut at = row * self.row_step;
                let end = at + self.run;
                while at < end {
                    let (w0, w1) = (Lanes::load(w), Lanes::load(w.add(4)));
                    four!(|M| {
                        let x = Lanes::load_splat(from[M].add(at));
                        sums[M][0] = sums[M][0].plus_product(x, w0);
                        sums[M][1] = sums[M][1].plus_product(x, w1);
                    });
                    at += 1;
                    w = w.add(PANEL);
                }
            }
            four!(|M| self.finish(sums[M], edge.moved(M * self.out_channels, edge.channels)));
        }
    }

    /// One pixel by `N` panels, at most [`ROW`].
    ///
    /// # Safety
    /// See [`convolve`]; `N` panels must follow each other from `w` on.
    #[inline(always)]
    unsafe fn row<const N: usize>(&self, from: *const f32, mut w: *const f32, bias: *const f32, edge: Edge) {
        // SAFETY: see `convolve`.
        unsafe {
            let none = [Lanes::splat(0.0), Lanes::splat(0.0)];
            let mut sums: [[Lanes; 2]; ROW] = [none, none, none, none];
            four!(|P| if P < N {
                let bias = bias.add(P * PANEL);
                sums[P] = [Lanes::load(bias), Lanes::load(bias.add(4))];
            });
            for row in 0..self.rows {
                let mut x = from.add(row * self.row_step);
                for _ in 0..self.run {
                    let value = Lanes::load_splat(x);
                    four!(|P| if P < N {
                        let w = w.add(P * self.panel_len);
                        sums[P][0] = sums[P][0].plus_product(value, Lanes::load(w));
                        sums[P][1] = sums[P][1].plus_product(value, Lanes::load(w.add(4)));
                    });
                    x = x.add(1);
                    w = w.add(PANEL);
                }
            }
            four!(|P| if P < N {
                self.finish(sums[P], edge.moved(P * PANEL, edge.channels - P * PANEL));
            });
        }
    }

    /// Adds the shortcut, keeps within the limits and stores the channels that there are.
    ///
    /// # Safety
    /// See [`convolve`].
    #[inline(always)]
    unsafe fn finish(&self, sum: [Lanes; 2], Edge { to, shortcut, channels }: Edge) {
        // SAFETY: whole panels are read and written in place, what is shorter by way of arrays of a panel's length.
        unsafe {
            if channels >= PANEL {
                let mut sum = sum;
                if !shortcut.is_null() {
                    sum = [sum[0].plus(Lanes::load(shortcut)), sum[1].plus(Lanes::load(shortcut.add(4)))];
                }
                sum[0].within(self.low, self.high).store(to);
                sum[1].within(self.low, self.high).store(to.add(4));
            } else {
                let mut add = [0.0f32; PANEL];
                if !shortcut.is_null() {
                    std::ptr::copy_nonoverlapping(shortcut, add.as_mut_ptr(), channels);
                }
                let mut out = [0.0f32; PANEL];
                let sum =
                    [sum[0].plus(Lanes::load(add.as_ptr())), sum[1].plus(Lanes::load(add.as_ptr().add(4)))];
                sum[0].within(self.low, self.high).store(out.as_mut_ptr());
                sum[1].within(self.low, self.high).store(out.as_mut_ptr().add(4));
                std::ptr::copy_nonoverlapping(out.as_ptr(), to, channels);
            }
        }
    }
}
