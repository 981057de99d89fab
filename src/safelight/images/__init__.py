"""Bytes and pixels: headers, rules, codecs and previews."""
