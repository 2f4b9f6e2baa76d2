// cuDNN's convolutions, max pooling and softmax: what PyTorch's users get from the vendor, without
// PyTorch between. Its library and headers are not needed to build FLAME: libflame_peer_cudnn.so
// beside the program knows them, and cuDNN itself is opened where it is found.
#pragma once
#include <memory>
#include <optional>

#include "bench/peers/cudnn/api.h"
#include "bench/session.h"

namespace flame::bench {

// nullptr where libflame_peer_cudnn.so or cuDNN is not there, and on the simulated device.
// FLAME_CUDNN names the file of libcudnn.so.9; without it the system's is taken, or a toolkit's.
std::unique_ptr<PeerSource> open_cudnn(const Device& device);

// How cuDNN can do an item; nothing for what it cannot: other ops, a bias, images without a batch,
// dilated windows. Sizes are the item's; `what`, `backward` and `channels_last` are the caller's.
std::optional<cudnn::Convolution> cudnn_convolution_of(const Item& item);
std::optional<cudnn::Pooling> cudnn_pooling_of(const Item& item);
std::optional<cudnn::Softmax> cudnn_softmax_of(const Item& item);

}  // namespace flame::bench
