// The models that are measured and what has to be reached with each.

/**
 * `shape` is NCHW with one item, `input` and `output` are the graph's names, `mean` and `std` those of the
 * manifest; `batch` is how many items one message to a worker holds in a queue.
 */
export const MODELS = {
  fashion_cnn: {
    folder: 'fashion-cnn', shape: [1, 1, 28, 28], input: 'image', output: 'logits', mean: 0, std: 1,
    batch: 50, latency: 0.9, queueTarget: null,
  },
  detypify_i8: {
    folder: 'detypify', shape: [1, 1, 224, 224], input: 'x', output: 'logits', mean: 0, std: 1,
    batch: 8, latency: 0.9, queueTarget: 1.7,
  },
  efficientnet_lite0_i8: {
    folder: 'efficientnet-lite0', shape: [1, 3, 224, 224], input: 'image', output: 'logits',
    mean: 127 / 255, std: 128 / 255, batch: 4, latency: 1.3, queueTarget: 2.4,
  },
};

/** Items of a queue. */
export const QUEUE = 1000;
