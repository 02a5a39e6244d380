// A host page: one element over as many items as asked for, all of them for the person.
import { imageDatas } from './inputs.js';

const pictures = Promise.all(imageDatas({ shape: [1, 1, 28, 28] }, 64).map((image) => {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}));

let runs = 0;

/** Puts a new element in place of the one before. */
globalThis.label = async (count) => {
  const blobs = await pictures;
  const labeler = document.createElement('hitl-labeler');
  runs += 1;
  labeler.config = {
    model: '/models/fashion-cnn/model.json',
    project: `bench-${runs}`,
    policy: { accept_at: 1 },
  };
  labeler.items = (async function* items() {
    for (let n = 0; n < count; n++) {
      if (n % 200 === 199) await new Promise((resolve) => setTimeout(resolve));
      yield { id: `item-${n}`, image: blobs[n % blobs.length] };
    }
  })();
  document.body.replaceChildren(labeler);
};
