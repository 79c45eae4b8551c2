//! Keeps the beginning and the end of what a program prints: why it failed mostly stands at one of them.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

/// What was kept of a stream.
pub(in crate::actions) struct Kept {
    pub(in crate::actions) text: String,
    /// Whether something was left out.
    pub(in crate::actions) cut: bool,
}

/// Bytes kept of the beginning, and as many of the end.
const EACH: usize = 32 * 1024;

/// Reads to the end, so that the program does not block, and keeps both ends.
pub(super) async fn ends(mut from: impl AsyncRead + Unpin) -> Kept {
    let mut head = Vec::new();
    // A pipe that breaks is at its end.
    (&mut from).take(EACH as u64).read_to_end(&mut head).await.ok();
    let mut tail = VecDeque::new();
    let mut left_out = 0;
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        tail.extend(&buffer[..n]);
        let over = tail.len().saturating_sub(EACH);
        tail.drain(..over);
        left_out += over;
    }
    let tail: Vec<u8> = tail.into();
    if left_out == 0 {
        head.extend(tail);
        return Kept { text: String::from_utf8_lossy(&head).into_owned(), cut: false };
    }
    let (head, tail) = (String::from_utf8_lossy(&head), String::from_utf8_lossy(&tail));
    Kept { text: format!("{head}\n[… {left_out} bytes left out …]\n{tail}"), cut: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ends_of_a_long_text_are_kept() {
        for (size, cut) in
            [(0, false), (10, false), (2 * EACH, false), (2 * EACH + 1, true), (1_000_000, true)]
        {
            let text: Vec<u8> = (0..size).map(|i| if i + 1 == size { b'!' } else { b'x' }).collect();
            let kept = ends(text.as_slice()).await;
            assert_eq!(kept.cut, cut, "{size}");
            assert!(size == 0 || kept.text.ends_with('!'));
            if cut {
                let left = size - 2 * EACH;
                assert!(kept.text.contains(&format!("\n[… {left} bytes left out …]\n")), "{size}");
            } else {
                assert_eq!(kept.text.len(), size);
            }
        }
    }
}
