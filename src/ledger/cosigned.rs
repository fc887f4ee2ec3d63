//! C2SP tlog-cosignature: the bytes that a witness signs of a checkpoint, by either type of key. Who signs is in [`super::cosignature`],
//! who verifies in [`super::note`].

use super::tree::Hash;

/// What is signed by Ed25519 of a checkpoint's text.
pub(super) fn of_text(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// What is signed by ML-DSA-44 of the tree of a checkpoint: origin, size and root (`cosigned_message`, in the notation of RFC 8446 §3); `None` where a name has
/// more than 255 bytes.
pub(super) fn of_tree(cosigner: &str, time: u64, (origin, size, root): (&str, u64, &Hash)) -> Option<Vec<u8>> {
    let mut message = b"subtree/v1\n\0".to_vec();
    let mut name = |name: &str, number: u64| {
        message.push(u8::try_from(name.len()).ok().filter(|length| *length > 0)?);
        message.extend_from_slice(name.as_bytes());
        message.extend_from_slice(&number.to_be_bytes());
        Some(())
    };
    name(cosigner, time)?;
    let start = 0;
    name(origin, start)?;
    message.extend_from_slice(&size.to_be_bytes());
    message.extend_from_slice(root);
    Some(message)
}
