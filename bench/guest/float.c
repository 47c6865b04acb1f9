/* Floating-point and vector works. */
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "work.h"

static uint64_t bits_of(double v) {
  uint64_t b;
  memcpy(&b, &v, sizeof b);
  return b;
}

/* Five bodies under gravity: scalar double precision with divisions and square roots. */
static uint64_t bodies(uint64_t n) {
  double p[5][3], v[5][3];
  static const double mass[5] = {39.47, 0.037, 0.011, 0.0017, 0.002};
  for (int i = 0; i < 5; ++i) {
    for (int k = 0; k < 3; ++k) {
      p[i][k] = i * 5.0 + k * 0.5;
      v[i][k] = (i - k) * 0.3;
    }
  }
  while (n-- > 0) {
    for (int i = 0; i < 5; ++i) {
      for (int j = i + 1; j < 5; ++j) {
        double d[3], square = 0;
        for (int k = 0; k < 3; ++k) {
          d[k] = p[i][k] - p[j][k];
          square += d[k] * d[k];
        }
        const double magnitude = 0.001 / (square * sqrt(square));
        for (int k = 0; k < 3; ++k) {
          v[i][k] -= d[k] * mass[j] * magnitude;
          v[j][k] += d[k] * mass[i] * magnitude;
        }
      }
    }
    for (int i = 0; i < 5; ++i) {
      for (int k = 0; k < 3; ++k) p[i][k] += 0.001 * v[i][k];
    }
  }
  return bits_of(p[0][0] + p[4][2]);
}

/* The Mandelbrot set: multiply, add, compare. */
static uint64_t mandelbrot(uint64_t n) {
  uint64_t inside = 0;
  for (uint64_t y = 0; y < n; ++y) {
    for (int x = 0; x < 200; ++x) {
      const double cr = x / 100.0 - 1.5, ci = (double)(y % 200) / 100.0 - 1.0;
      double zr = 0, zi = 0;
      int i = 0;
      for (; i < 50 && zr * zr + zi * zi < 4.0; ++i) {
        const double t = zr * zr - zi * zi + cr;
        zi = 2 * zr * zi + ci;
        zr = t;
      }
      inside += (uint64_t)i;
    }
  }
  return inside;
}

/* Fused multiply-add on vectors of floats: a matrix product. */
static uint64_t matrix(uint64_t n) {
  static float a[64][64], b[64][64], c[64][64];
  for (int i = 0; i < 64; ++i) {
    for (int j = 0; j < 64; ++j) {
      a[i][j] = (float)(i * 3 + j) * 0.01f;
      b[i][j] = (float)(i - j) * 0.02f;
    }
  }
  while (n-- > 0) {
    for (int i = 0; i < 64; ++i) {
      for (int j = 0; j < 64; j += 4) {
        float32x4_t sum = vdupq_n_f32(0);
        for (int k = 0; k < 64; ++k) sum = vfmaq_n_f32(sum, vld1q_f32(&b[k][j]), a[i][k]);
        vst1q_f32(&c[i][j], sum);
      }
    }
    a[n & 63][5] += c[7][9] * 1e-9f;
  }
  return bits_of(c[3][3]) ^ bits_of(c[60][61]);
}

/* Integer lanes: a blend of two pictures, as video code does. */
static uint64_t blend(uint64_t n) {
  static uint8_t x[8192], y[8192], out[8192];
  for (int i = 0; i < 8192; ++i) {
    x[i] = (uint8_t)(i * 7);
    y[i] = (uint8_t)(i * 13 + 5);
  }
  uint64_t sum = 0;
  while (n-- > 0) {
    for (int i = 0; i < 8192; i += 16) {
      const uint8x16_t a = vld1q_u8(x + i), b = vld1q_u8(y + i);
      const uint16x8_t low = vmlal_u8(vmull_u8(vget_low_u8(a), vdup_n_u8(77)), vget_low_u8(b), vdup_n_u8(179));
      const uint16x8_t high = vmlal_u8(vmull_u8(vget_high_u8(a), vdup_n_u8(77)), vget_high_u8(b), vdup_n_u8(179));
      vst1q_u8(out + i, vqaddq_u8(vcombine_u8(vshrn_n_u16(low, 8), vshrn_n_u16(high, 8)), vabdq_u8(a, b)));
    }
    x[n & 8191] ^= out[(n * 31) & 8191];
    sum += out[n & 8191];
  }
  return sum;
}

const struct work float_works[] = {
    {"fp.bodies", bodies, 60000},
    {"fp.mandelbrot", mandelbrot, 300},
    {"simd.matrix", matrix, 60},
    {"simd.blend", blend, 4000},
    {0},
};
