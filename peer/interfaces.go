package peer

import (
	"sync"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
)

// lockedNet is the host's network, whose list of interfaces may be made anew
// while Pion gathers candidates, which Pion's own does not allow.
type lockedNet struct {
	*stdnet.Net
	mu sync.RWMutex // protects the list of interfaces in Net
}

// UpdateInterfaces lists the interfaces anew.
func (n *lockedNet) UpdateInterfaces() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.Net.UpdateInterfaces()
}

// Interfaces implements transport.Net.
func (n *lockedNet) Interfaces() ([]*transport.Interface, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.Net.Interfaces()
}

// InterfaceByIndex implements transport.Net.
func (n *lockedNet) InterfaceByIndex(index int) (*transport.Interface, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.Net.InterfaceByIndex(index)
}

// InterfaceByName implements transport.Net.
func (n *lockedNet) InterfaceByName(name string) (*transport.Interface, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.Net.InterfaceByName(name)
}
