use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn each_digest_is_that_of_the_text_alone(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..40),
    ) {
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let alone: Vec<Digest> = texts.iter().map(|text| Md5::digest(text).into()).collect();
        prop_assert_eq!(texts.iter().map(|text| super::alone(text)).collect::<Vec<_>>(), &alone[..]);
        prop_assert_eq!(of_each_by(&texts, 1), alone.clone());
        prop_assert_eq!(of_each(&texts), alone);
    }
}

/// Checks the vector widths that this processor has.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_digests_are_the_same_with_whatever_vectors_the_processor_has() {
    let texts: [Vec<u8>; LANES] =
        std::array::from_fn(|lane| (0..60 * lane).map(|at| at.to_le_bytes()[0]).collect());
    let texts = texts.each_ref().map(Vec::as_slice);
    let alone: [Digest; LANES] = texts.map(|text| Md5::digest(text).into());
    let level = Level::new();
    if let Some(simd) = level.as_sse2() {
        assert_eq!(side_by_side_with(simd, texts), alone);
    }
    if let Some(simd) = level.as_avx2() {
        assert_eq!(side_by_side_with(simd, texts), alone);
        assert_eq!(of_each_short_with(simd, &texts[..1], 1), alone[..1]);
    }
}

#[test]
fn short_texts_of_every_length_are_padded_right() {
    let texts: Vec<_> = (0..=55)
        .map(|bytes| (1..=bytes).map(|byte: u8| !byte).collect::<Vec<_>>())
        .collect();
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    for count in 0..=texts.len() {
        let texts = &texts[texts.len() - count..];
        let alone: Vec<Digest> = texts.iter().map(|text| Md5::digest(text).into()).collect();
        assert_eq!(of_each_short(texts, 1), alone);
    }
}

#[test]
fn lengths_around_the_end_of_a_block_are_padded_right() {
    let texts: Vec<_> = (0..=2 * BLOCK_BYTES + 1)
        .map(|bytes| vec![b'x'; bytes])
        .collect();
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    for (text, digest) in texts.iter().zip(of_each_by(&texts, 1)) {
        assert_eq!(digest[..], Md5::digest(text)[..], "{} bytes", text.len());
        assert_eq!(digest, alone(text), "{} bytes", text.len());
    }
}

/// The texts of RFC 1321, appendix A.5.
#[test]
fn the_texts_of_the_standard_have_their_digests() {
    let expected: [(&str, u128); 7] = [
        ("", 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e),
        ("a", 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661),
        ("abc", 0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72),
        ("message digest", 0xf96b_697d_7cb7_938d_525a_2f31_aaf1_61d0),
        (
            "abcdefghijklmnopqrstuvwxyz",
            0xc3fc_d3d7_6192_e400_7dfb_496c_ca67_e13b,
        ),
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            0xd174_ab98_d277_d9f5_a561_1c2c_9f41_9d9f,
        ),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            0x57ed_f4a2_2be3_c955_ac49_da2e_2107_b67a,
        ),
    ];
    for (text, digest) in expected {
        assert_eq!(alone(text.as_bytes()), digest.to_be_bytes(), "{text}");
        assert_eq!(of(text.as_bytes()), digest.to_be_bytes(), "{text}");
    }
}
