//! The thin cloud relay: it reads envelopes, never bodies, and holds nothing that a crash could lose.
