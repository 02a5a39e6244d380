// The models that are measured, what is fed to them and which answer is compared.

/** `shape` is NCHW with one item; `queue` is the length of the queue that a normal run times. */
export const MODELS = {
  fashion_cnn: {
    folder: 'fashion', shape: [1, 1, 28, 28], output: 'probs', input: 'image',
    latency: 0.9, queue: 1000, queueTarget: null,
  },
  detypify_i8: {
    folder: 'detypify', shape: [1, 1, 224, 224], output: 'probs', input: 'x',
    latency: 0.9, queue: 1000, queueTarget: 1.7,
  },
  efficientnet_lite0_i8: {
    folder: 'efficientnet', shape: [1, 3, 224, 224], output: 'probs', input: 'image',
    latency: 1.3, queue: 1000, queueTarget: 2.4,
  },
};
