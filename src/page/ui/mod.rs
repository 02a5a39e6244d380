//! What the person sees.
